import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, closeSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commandEnv } from '../../testing/command-env.ts';
import { type Replica, createReplica } from '../../testing/replica.ts';
import { runCli } from '../support/cli.ts';
import { sharedServers } from '../support/shared-servers.ts';

/** Colours the terminal, forges a line, and begins a sequence by its one-byte form. */
const hostile = 'a\u001b[31m\nERROR forged\u009b2Jb\u202e';
let replica: Replica;

beforeAll(async () => {
  const { source, target } = sharedServers();
  replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  await admin.query(`create table \`${hostile}\` (id int not null primary key, \`${hostile}\` varchar(20))`);
  await admin.query(`create table \`k${hostile}\` (\`${hostile}\` int)`);
  await admin.query(`insert into \`${hostile}\` values (1, 'one')`);
  await admin.end();
});

afterAll(async () => {
  await replica?.drop();
});

describe('names with control characters', () => {
  test('are never printed raw, by any command', async () => {
    const env = { ...replica.env, TABLES_HALT: 'x\u001b[1m', COLUMN_RULES: 'x\u001b.y=omit' };
    const commands: string[][] = [
      ['check'],
      ['check', '--json'],
      ['run', '--until-caught-up'],
      ['check'],
      ['lag'],
      ['lag', '--json'],
      ['backfill', hostile],
      ['backfill', `k${hostile}`],
      ['backfill', `no${hostile}`],
      ['verify'],
      ['verify', '--json'],
      ['jobs'],
      ['jobs', '--json'],
      ['dead-letters', 'list', hostile],
      ['adopt', '--yes'],
      ['resync', '--yes', '--detach'],
      ['reset', '--yes'],
    ];
    const seen: string[] = [];
    for (const command of commands) {
      const { stdout, stderr } = await runCli(command, env);
      const raw = (stdout + stderr).match(/[^\P{Cc}\n]|[\u202a-\u202e]|^ERROR forged/mu);
      expect([command, raw?.[0]]).toEqual([command, undefined]);
      seen.push(stdout + stderr);
    }
    // The name was there, in a form that a person can read.
    expect(seen.filter((text) => text.includes('\\u001b[31m')).length).toBeGreaterThan(8);
  });

  test('of accounts and databases neither', async () => {
    const env = { ...replica.env, SOURCE_DB_READONLY_USER: 'me\u001b[31m', TARGET_DB_NAME: 'db\u001b[31m' };
    for (const command of [['check'], ['grants'], ['lag'], ['jobs']]) {
      const { stdout, stderr } = await runCli(command, env);
      expect([command, /[^\P{Cc}\n]/u.test(stdout + stderr)]).toEqual([command, false]);
    }
  });
});

/** A device that is always full. */
describe.runIf(process.platform === 'linux')('where the output cannot be written', () => {
  async function full(args: readonly string[]): Promise<{ code: number | null; stderr: string }> {
    const device = openSync('/dev/full', 'w');
    const child = spawn(process.execPath, ['src/cli.ts', ...args], {
      cwd: new URL('../..', import.meta.url),
      env: commandEnv(replica.env),
      stdio: ['ignore', device, 'pipe'],
    });
    closeSync(device);
    let stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, stderr };
  }

  test('a command fails and says so, without a stack', async () => {
    const { code, stderr } = await full(['jobs']);
    expect(stderr).toMatch(/^tidegate: the output cannot be written \(ENOSPC\)\nFree space /);
    expect(stderr.split('\n')).toHaveLength(3);
    expect(code).toBe(1);
  });

  test('a service goes on, and says once that its log is lost', async () => {
    const { code, stderr } = await full(['run', '--until-caught-up']);
    expect(stderr).toBe('tidegate: the log cannot be written (ENOSPC); the service goes on\n');
    expect(code).toBe(0);
  });
});
