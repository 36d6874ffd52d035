import { type ExecFileOptions, execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import type { CommandResult } from '../support/cli.ts';
import { createReplica } from '../../testing/replica.ts';
import { sharedServers } from '../support/shared-servers.ts';

/** The package as users get it: built by `npm pack`, installed by npm into an empty folder, run by Node alone. */

const checkout = fileURLToPath(new URL('../..', import.meta.url));

let folder: string;
let installed: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'package-'));
  await npm(['pack', '--pack-destination', folder], checkout);
  const tarball = join(folder, `tidegate-${packageJson.version}.tgz`);
  await npm(['install', '--prefix', folder, '--omit=dev', '--prefer-offline', tarball], folder);
  installed = join(folder, 'node_modules', 'tidegate');
}, 300_000);

afterAll(async () => await rm(folder, { recursive: true }));

test('holds exactly the built program, its documentation and the files that run it as a service', async () => {
  const program = (await filesUnder(checkout, 'src', 'migrations'))
    .filter((file) => !file.endsWith('.test.ts'))
    .map((file) => `dist/${file.replace(/\.ts$/, '.js')}`);
  const words = (await filesUnder(checkout, 'docs', 'ops')).filter((file) => !file.includes('.test.'));
  const top = ['.env.template', 'CHANGELOG.md', 'LICENSE', 'README.md', 'package.json', 'dist/package.json'];
  expect(await filesUnder(installed, '.')).toEqual([...program, ...words, ...top].sort());
});

test('prints its version and its commands', async () => {
  expect(await tidegate(['--version'])).toEqual({ code: 0, stdout: `${packageJson.version}\n`, stderr: '' });
  const { code, stdout } = await tidegate(['--help']);
  expect(code).toBe(0);
  expect(stdout).toContain('Usage: tidegate');
});

test('says what to do without settings', async () => {
  const { code, stdout, stderr } = await tidegate(['check']);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain('SOURCE_DB_HOST is not set');
  expect(stderr).toContain('.env.template');
});

test('names the required Node version on an older Node', async () => {
  const older = `node-${process.platform}-${process.arch}`;
  const at = join(folder, 'older');
  await npm(['install', '--prefix', at, '--no-save', '--prefer-offline', `${older}@20.20.2`], folder);
  const program = join(folder, 'node_modules', '.bin', 'tidegate');
  const node = join(at, 'node_modules', older, 'bin', 'node');
  for (const args of [['--version'], ['check']])
    expect(await runFile(node, [program, ...args], { cwd: folder, env: {} })).toEqual({
      code: 1,
      stdout: '',
      stderr: 'tidegate: Node 24 or later is required, and this is Node 20.20.2: install a newer one\n',
    });
});

test('copies a table, which needs all files that it reads from its own folder', async () => {
  const { source, target } = sharedServers();
  const replica = await createReplica(source, target);
  try {
    const admin = await replica.sourceAdmin();
    await admin.query('create table patient (PatNum bigint primary key, LName varchar(100))');
    await admin.query("insert into patient values (1, 'a'), (2, 'b')");
    await admin.end();
    const { code, stdout, stderr } = await tidegate(['run', '--until-caught-up'], replica.env);
    expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: '' });
    const { rows } = await replica.targetAdmin.query(
      `select "PatNum"::int, "LName" from ${replica.schema}.patient order by 1`,
    );
    expect(rows).toEqual([
      { PatNum: 1, LName: 'a' },
      { PatNum: 2, LName: 'b' },
    ]);
  } finally {
    await replica.drop();
  }
});

/** Variables of an outer npm about its package; they would lead this npm back to the checkout. */
const ofAnOuterNpm = /^(npm_(lifecycle_|package_|config_local_prefix$)|INIT_CWD$)/;

async function npm(args: string[], cwd: string): Promise<void> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !ofAnOuterNpm.test(name)));
  const { code, stdout, stderr } = await runFile('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd,
    env,
  });
  if (code !== 0) throw new Error(`npm ${args[0]} failed:\n${stdout}${stderr}`);
}

/** Runs the installed program in its folder, with these settings only. */
async function tidegate(args: string[], env: Readonly<Record<string, string>> = {}): Promise<CommandResult> {
  const program = join(folder, 'node_modules', '.bin', 'tidegate');
  return await runFile(process.execPath, [program, ...args], { cwd: folder, env });
}

async function runFile(file: string, args: string[], options: ExecFileOptions): Promise<CommandResult> {
  return await new Promise((resolve) => {
    const child = execFile(file, args, { ...options, encoding: 'utf8' }, (_, stdout, stderr) =>
      resolve({ code: child.exitCode, stdout, stderr }),
    );
  });
}

/** The paths, relative to `root`, of all files in these folders, without node_modules. */
async function filesUnder(root: string, ...folders: string[]): Promise<string[]> {
  const entries = await Promise.all(
    folders.map(async (name) => await readdir(join(root, name), { recursive: true, withFileTypes: true })),
  );
  return entries
    .flat()
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(root, join(parentPath, name)).replaceAll(sep, '/'))
    .filter((file) => !file.startsWith('node_modules/'))
    .sort();
}
