// Runs a program of this checkout with its dependencies installed, on Node 24 even if the machine has an older one.
// It is plain JavaScript without dependencies because it runs before they are installed.
//
//   node scripts/with-node.mjs FILE [ARG …]          a TypeScript or JavaScript file
//   node scripts/with-node.mjs --bin NAME [ARG …]    a program of node_modules/.bin
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cache = join(root, '.cache');
const wantedMajor = 24;
const fetchedVersion = '24.21.0';
/** How long another process may take to install before it is considered dead. */
const lockLimitMs = 10 * 60_000;

const [first, ...rest] = process.argv.slice(2);
/** The program that runs at the moment; signals to this process are forwarded to it. */
let running = null;

process.on('SIGTERM', () => hand('SIGTERM'));
process.on('SIGINT', () => {
  // The terminal sends Ctrl-C to its entire foreground group, so the program has already received it.
  if (!isInForeground()) hand('SIGINT');
});

if (first === undefined) fail('usage: node scripts/with-node.mjs [--bin NAME | FILE] [ARG …]');
const node = await nodeToUse();
const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` };
await installDependencies();
endWithNpm();
const program =
  first === '--bin' ? [join(root, 'node_modules', '.bin', rest[0]), ...rest.slice(1)] : [resolve(root, first), ...rest];
const { code, signal } = await run(node, program, { stdio: 'inherit', env });
if (signal === null) process.exit(code ?? 1);
process.removeAllListeners(signal);
process.kill(process.pid, signal);

/** The Node to run with: the current one if it is new enough, otherwise one fetched into the cache of this checkout. */
async function nodeToUse() {
  const present = process.versions.node;
  if (Number(present.split('.')[0]) >= wantedMajor) return process.execPath;
  const advice = `Node ${present} is too old: install Node ${wantedMajor} or later`;
  if (!['linux', 'darwin'].includes(process.platform) || !['x64', 'arm64'].includes(process.arch)) fail(advice);
  const name = `node-${process.platform}-${process.arch}`;
  const home = join(cache, `node-${fetchedVersion}`);
  const binary = (folder) => join(folder, 'node_modules', name, 'bin', 'node');
  if (existsSync(binary(home))) return binary(home);
  return await alone('node', async () => {
    if (existsSync(binary(home))) return binary(home);
    say(`fetching Node ${fetchedVersion} into .cache (once; this machine has ${present}) …`);
    const partial = `${home}.partial`;
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial, { recursive: true });
    await npm(['install', '--prefix', partial, '--no-save', `${name}@${fetchedVersion}`], process.env);
    const trial = await run(binary(partial), ['--version'], { stdio: 'ignore' });
    if (trial.code !== 0) fail(`Node ${fetchedVersion} as fetched does not run on this system. ${advice}`);
    rmSync(home, { recursive: true, force: true });
    renameSync(partial, home);
    return binary(home);
  });
}

/** Installs the dependencies of package-lock.json unless they are already installed. */
async function installDependencies() {
  if (areInstalled()) return;
  await alone('dependencies', async () => {
    if (areInstalled()) return;
    say('installing dependencies (once) …');
    // Run npm on the Node that will use the packages: npm selects them by the Node that it runs on.
    await npm(['ci'], env);
  });
}

/**
 * Compares with the list that npm writes when it has finished. So an install by any tool counts, and an interrupted one does not.
 */
function areInstalled() {
  const installed = packages(join(root, 'node_modules', '.package-lock.json'));
  if (installed === null) return false;
  return Object.entries(packages(join(root, 'package-lock.json')) ?? {}).every(
    ([path, wanted]) => path === '' || wanted.optional || installed[path]?.version === wanted.version,
  );
}

function packages(file) {
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).packages : null;
}

async function npm(args, env) {
  const { code, signal, output } = await run('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (signal !== null || code !== 0) fail(`npm ${args[0]} failed${signal === null ? '' : ` (${signal})`}:\n${output}`);
}

/** Runs a program to its end. `output` is the text it printed, if its output is piped here. */
async function run(command, args, options) {
  return await new Promise((resolve) => {
    running = spawn(command, args, options);
    let output = '';
    for (const stream of [running.stdout, running.stderr]) stream?.on('data', (text) => (output += text));
    running.on('error', (error) => resolve({ code: 127, signal: null, output: error.message }));
    running.on('close', (code, signal) => resolve({ code, signal, output }));
  });
}

/** Only one process at a time does `work`; the others wait until it finishes or dies. */
async function alone(name, work) {
  const lock = join(cache, `${name}.lock`);
  mkdirSync(cache, { recursive: true });
  const started = Date.now();
  while (!take(lock)) {
    const holder = existsSync(join(lock, 'pid')) ? Number(readFileSync(join(lock, 'pid'), 'utf8')) : 0;
    if ((holder > 0 && !isAlive(holder)) || Date.now() - started > lockLimitMs)
      rmSync(lock, { recursive: true, force: true });
    else await delay(200);
  }
  const release = () => rmSync(lock, { recursive: true, force: true });
  process.on('exit', release);
  writeFileSync(join(lock, 'pid'), String(process.pid));
  const result = await work();
  release();
  process.off('exit', release);
  return result;
}

function take(lock) {
  try {
    mkdirSync(lock);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function hand(signal) {
  if (running === null) process.exit(1);
  running.kill(signal);
}

function isInForeground() {
  try {
    // proc(5): the name in brackets is followed by state, ppid, pgrp, session, tty and the terminal's foreground group.
    const [, , group, , terminal, foreground] = readFileSync('/proc/self/stat', 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return terminal !== '0' && group === foreground;
  } catch {
    // macOS has no /proc.
    return [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY);
  }
}

/**
 * A signal to npm ends the shell between npm and this process, and the shell does not forward it. So the end of the shell counts
 * as the signal.
 */
function endWithNpm() {
  if (process.env.npm_lifecycle_event === undefined) return;
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    hand('SIGTERM');
  }, 250);
  watch.unref();
}

function say(text) {
  process.stderr.write(`${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}
