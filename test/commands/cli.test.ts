import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, type Socket, createServer } from 'node:net';
import { constants, getPriority } from 'node:os';
import { expect, it } from 'vitest';
import { freePort } from '../../testing/servers/private-process.ts';
import { runCli } from '../support/cli.ts';
import { commandEnv } from '../../testing/command-env.ts';

/** Valid settings of servers that do not exist. */
async function nowhere(): Promise<Record<string, string>> {
  const port = String(await freePort());
  return {
    SOURCE_DB_HOST: '127.0.0.1',
    SOURCE_DB_PORT: port,
    SOURCE_DB_NAME: 'clinic',
    SOURCE_DB_READONLY_USER: 'reader',
    SOURCE_DB_READONLY_PASSWORD: 'canary-1',
    SOURCE_DB_REPLICATION_USER: 'replicator',
    SOURCE_DB_REPLICATION_PASSWORD: 'canary-2',
    TARGET_DB_HOST: '127.0.0.1',
    TARGET_DB_PORT: port,
    TARGET_DB_NAME: 'analytics',
    TARGET_DB_USER: 'tidegate',
    TARGET_DB_PASSWORD: 'canary-3',
  };
}

it('prints its version and, for each command, examples and exit codes', async () => {
  expect((await runCli(['--version'], {})).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  for (const command of ['check', 'grants', 'run', 'lag', 'reset']) {
    const { code, stdout } = await runCli([command, '--help'], {});
    expect(code).toBe(0);
    expect(stdout).toMatch(/Examples?:\n {2}tidegate /);
    expect(stdout).toContain('Exit code');
  }
});

it('refuses unknown commands, options and ids', async () => {
  for (const args of [
    ...[['frob'], ['check', 'extra'], ['run', '--frob']],
    ...['x', '', '0', '-1', '1.5', '9'.repeat(20)].map((id) => ['jobs', 'cancel', '17', id]),
  ]) {
    const { code, stdout, stderr } = await runCli(args, await nowhere());
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toContain('--help');
  }
});

it('lag that could not be measured never counts as within or beyond the limit', async () => {
  const settings = await nowhere();
  for (const [args, env] of [
    [['lag'], {}],
    [['lag', '--max-seconds', 'soon'], settings],
    [['lag', '--max-seconds', '-1'], settings],
    [['lag', '--frob'], settings],
    [['lag', '--json', '--max-seconds', '60'], settings],
  ] as const)
    expect([args, (await runCli(args, env)).code]).toEqual([args, 2]);
});

it('tests each connection separately, and a failed one hides no other', async () => {
  const { code, stdout, stderr } = await runCli(['check', '--json'], await nowhere());
  expect(code).toBe(1);
  const { ready, findings } = JSON.parse(stdout) as { ready: boolean; findings: { subject: string; kind: string }[] };
  expect(ready).toBe(false);
  expect(findings.map(({ subject, kind }) => [subject, kind])).toEqual([
    ['source (reader)', 'source-unreachable'],
    ['source (replicator)', 'source-unreachable'],
    ['target', 'target-unreachable'],
  ]);
  // Each finding names its subject once.
  const readable = (await runCli(['check'], await nowhere())).stdout;
  expect(readable).toMatch(/source \(reader\): connect to 127\.0\.0\.1:\d+ failed: refused \(ECONNREFUSED\)/);
  expect(readable).not.toMatch(/(source \(\w+\)|target): \1/);
  expect(stdout + stderr).not.toContain('canary');
});

it('prints no more of an uncaught error than of any other', async () => {
  const thrown = "Object.assign(new Error('cana' + 'ry'), { sql: 'cana' + 'ry', errno: 1064 })";
  // The word is in two halves, because a stack frame prints this very text. The error is thrown as soon as the program handles
  // uncaught ones.
  const surprise = `const t = setInterval(() => { if (process.listenerCount('uncaughtException') > 0) { clearInterval(t); Promise.reject(${thrown}); } }, 1);`;
  const env = { ...(await nowhere()), NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(surprise)}` };
  for (const [command, expected] of [
    ['check', 1],
    ['lag', 2],
  ] as const) {
    const { code, stdout, stderr } = await runCli([command], env);
    expect(code).toBe(expected);
    expect(stderr).toMatch(/^tidegate: unexpected Error\nReport this with the log\.\n\s+at /);
    expect(stdout + stderr).not.toContain('canary');
  }
});

it('recommends the template if almost nothing is set', async () => {
  expect((await runCli(['check'], {})).stderr).toContain('cp .env.template .env');
  const { TARGET_DB_HOST: _, ...most } = await nowhere();
  expect((await runCli(['check'], most)).stderr).not.toContain('.env.template');
});

it('names a mistyped setting before it connects anywhere', async () => {
  const { code, stderr } = await runCli(['check'], { ...(await nowhere()), TABLES_EXLUDE: 'canary' });
  expect(code).toBe(1);
  expect(stderr).toContain('TABLES_EXLUDE is not a setting; is TABLES_EXCLUDE meant?');
  expect(stderr).not.toContain('canary');
});

it('names the folder in which there is no .env, and a variable that is no setting', async () => {
  expect((await runCli(['check'], {})).stderr).toContain(`There is no .env in ${process.cwd()}`);
  const { stdout } = await runCli(['check'], { ...(await nowhere()), TARGET_DB_SSLMODE: 'canary' });
  expect(stdout).toContain('warning  settings: TARGET_DB_SSLMODE is not a setting');
  expect(stdout).not.toContain('canary');
});

it('gives way to other programs of its machine', async () => {
  // It connects to an address that never answers, and so runs until it is killed.
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const port = String((silent.address() as AddressInfo).port);
  const child = spawn(process.execPath, ['src/cli.ts', 'run'], {
    cwd: new URL('../..', import.meta.url),
    env: commandEnv({ ...(await nowhere()), SOURCE_DB_PORT: port, TARGET_DB_PORT: port }),
    stdio: 'ignore',
  });
  const closed = once(child, 'close');
  const [asked] = (await once(silent, 'connection')) as [Socket];
  try {
    expect(getPriority(child.pid)).toBe(constants.priority.PRIORITY_BELOW_NORMAL);
  } finally {
    child.kill('SIGKILL');
    await closed;
    asked.destroy();
    silent.close();
  }
});

it('ends as usual after its output is closed', async () => {
  const child = spawn(process.execPath, ['src/cli.ts', 'check'], {
    cwd: new URL('../..', import.meta.url),
    env: commandEnv(await nowhere()),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  expect(stderr).toBe('');
  expect(code).toBe(1);
});
