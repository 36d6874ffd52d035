// Runs a program of this checkout with everything it needs: dependencies installed, and Node 24 even where the machine has an
// older one. Plain JavaScript without dependencies, because it is what runs before there are any.
//
//   node scripts/with-node.mjs FILE [ARG …]          a TypeScript or JavaScript file
//   node scripts/with-node.mjs --bin NAME [ARG …]    a program of node_modules/.bin
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cache = join(root, '.cache');
const wantedMajor = 24;
const fetchedVersion = '24.21.0';
/** How long another process may take to install before it is taken for dead. */
const lockLimitMs = 10 * 60_000;

const say = (text) => process.stderr.write(`${text}\n`);

function fail(text) {
  say(text);
  process.exit(1);
}

/** One process installs, the others wait for it. */
function locked(name, work) {
  const lock = join(cache, `${name}.lock`);
  mkdirSync(cache, { recursive: true });
  const started = Date.now();
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      const holder = readPid(join(lock, 'pid'));
      if ((holder !== null && !isAlive(holder)) || Date.now() - started > lockLimitMs)
        rmSync(lock, { recursive: true, force: true });
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    }
  }
  try {
    writeFileSync(join(lock, 'pid'), String(process.pid));
    work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

function readPid(file) {
  try {
    return Number(readFileSync(file, 'utf8'));
  } catch {
    return null;
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

function npm(args, what) {
  const result = spawnSync('npm', args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, npm_config_loglevel: 'error' },
  });
  if (result.status !== 0) fail(`${what} failed:\n${result.stderr || result.error}`);
}

/** Installs what package-lock.json says, unless that is what is there. */
function ensureDependencies() {
  const digest = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const stamp = join(root, 'node_modules', '.tidegate-installed');
  const isDone = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === digest;
  if (isDone()) return;
  locked('dependencies', () => {
    if (isDone()) return;
    say('installing dependencies (once) …');
    npm(['ci', '--no-audit', '--no-fund'], 'npm ci');
    writeFileSync(stamp, digest);
  });
}

/** The Node to run with: this one if it is new enough, else one fetched into the cache of this checkout. */
function ensureNode() {
  if (Number(process.versions.node.split('.')[0]) >= wantedMajor) return process.execPath;
  const packageName = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  if (!['linux', 'darwin'].includes(process.platform))
    fail(`Node ${process.versions.node} is too old: install Node ${wantedMajor} or later`);
  const home = join(cache, `node-${fetchedVersion}`);
  const binary = join(home, 'node_modules', packageName, 'bin', 'node');
  const isDone = () => existsSync(binary) && statSync(binary).size > 0 && spawnSync(binary, ['--version']).status === 0;
  if (isDone()) return binary;
  locked('node', () => {
    if (isDone()) return;
    say(`fetching Node ${fetchedVersion} into .cache (once; this machine has ${process.versions.node}) …`);
    mkdirSync(home, { recursive: true });
    npm(
      ['install', '--prefix', home, '--no-save', '--no-audit', '--no-fund', `${packageName}@${fetchedVersion}`],
      'fetching Node',
    );
  });
  return binary;
}

const [first, ...rest] = process.argv.slice(2);
if (first === undefined) fail('usage: node scripts/with-node.mjs [--bin NAME | FILE] [ARG …]');
const node = ensureNode();
ensureDependencies();

const args =
  first === '--bin' ? [join(root, 'node_modules', '.bin', rest[0]), ...rest.slice(1)] : [join(root, first), ...rest];
const child = spawn(node, args, {
  stdio: 'inherit',
  env: { ...process.env, PATH: `${dirname(node)}:${process.env.PATH}` },
});
// A terminal's Ctrl-C reaches the whole process group, the child included, so here it must only not end the parent first. A
// signal sent to this process alone is handed on.
process.on('SIGINT', () => {
  if (!process.stdin.isTTY) child.kill('SIGINT');
});
process.on('SIGTERM', () => child.kill('SIGTERM'));
child.on('exit', (code, signal) => {
  if (signal === null) process.exit(code ?? 1);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
