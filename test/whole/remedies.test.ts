import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import mysql, { type Connection } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ErrorKind, errorKinds } from '../../src/errors/error-kinds.ts';
import type { Finding } from '../../src/errors/finding.ts';
import { commandEnv } from '../../testing/command-env.ts';
import { type Replica, createReplica } from '../../testing/replica.ts';
import type { SourceServer } from '../../testing/servers/server.ts';
import { RunProcess } from '../../testing/run-process.ts';
import { runCli } from '../support/cli.ts';
import { sharedServers } from '../support/shared-servers.ts';
import { type OwnSource, findings, others, runPrinted, startOwnSource, statementsIn } from './remedies/remedy.ts';

/**
 * Every error kind is provoked, and its remedy is run as it is printed: here, or in the suite that is named. A kind whose
 * remedy no test can run stands among the open ones, with the reason.
 */
const here = [
  ...['config', 'source-privilege', 'source-settings', 'source-unreachable', 'source-busy', 'source-changed'],
  'bad-row',
];

/** The suite that provokes the kind and runs its remedy, and words that this suite must hold. */
const elsewhere: Partial<Record<ErrorKind, readonly [file: string, words: string]>> = {
  'source-login': ['test/whole/remedies/source-login.test.ts', 'await runAtSource('],
  'source-tls': ['test/whole/tls.test.ts', 'is for another name than'],
  'source-table': ['test/pipeline/snapshot/damaged-table.test.ts', 'statementsIn('],
  'privileged-source': ['test/mysql/grants/forbidden-grants.test.ts', 'accounts that people use keep their rights'],
  'source-diverged': ['test/pipeline/begin/source-history.test.ts', "runCli(['resync']"],
  'position-lost': ['test/pipeline/begin/lost-binlog.test.ts', "runCli(['resync']"],
  'binlog-damaged': ['test/pipeline/stream/damaged-events.test.ts', 'binlog-damaged'],
  'binlog-unreadable': ['test/pipeline/stream/damaged-events.test.ts', '`tidegate (resync)`'],
  'server-id-taken': ['test/mysql/binlog/server-id.test.ts', 'another number'],
  'target-unreachable': ['test/whole/remedies/target.test.ts', "mended('target-unreachable'"],
  'target-login': ['test/whole/remedies/target.test.ts', "mended('target-login'"],
  'target-tls': ['test/whole/tls.test.ts', 'is for another name than'],
  'target-pooled': ['test/postgres/session.test.ts', 'set to PostgreSQL itself'],
  'target-privilege': ['test/whole/remedies/target.test.ts', "mended('target-privilege'"],
  'target-busy': ['test/pipeline/table-returns.test.ts', 'returns when the lock is gone'],
  'target-refused': ['test/whole/remedies/target.test.ts', 'once it is dropped'],
  'target-foreign': ['test/commands/adopt.test.ts', "'adopt', '--yes'"],
  'control-schema-older': ['test/postgres/control/upgrade.test.ts', '0.1'],
  'lease-lost': ['test/postgres/control/fence.test.ts', 'lease-lost'],
  'output-failed': ['test/commands/output.test.ts', 'ENOSPC'],
  unconfirmed: ['test/pipeline/table-returns.test.ts', "'backfill', 'shrunk', '--yes'"],
};

/** Nobody can run these remedies. */
const open: Partial<Record<ErrorKind, string>> = {
  'source-statement': 'a bug: the remedy is a report',
  'control-schema-newer': 'the remedy is another version; test/commands/check.test.ts provokes it',
  refused: 'the findings above it have the remedies',
  internal: 'a bug: the remedy is a report',
};

const checkout = fileURLToPath(new URL('../..', import.meta.url));

test('each kind is provoked in one of these places', async () => {
  const named = [...here, ...Object.keys(elsewhere), ...Object.keys(open)];
  expect(named.toSorted()).toEqual(Object.keys(errorKinds).toSorted());
  for (const [file, words] of Object.values(elsewhere))
    expect([file, (await readFile(join(checkout, file), 'utf8')).includes(words)]).toEqual([file, true]);
});

let own: OwnSource | undefined;
let source: SourceServer;
let replica: Replica;
let admin: Connection;

beforeAll(async () => {
  own = await startOwnSource({ flavor: 'mariadb' });
  ({ source, replica, admin } = own);
});

afterAll(async () => await own?.[Symbol.asyncDispose]());

const check = async (env: Readonly<Record<string, string>> = replica.env) => await findings(env);

/** Runs every statement of these findings' remedies at the source. */
async function runAtSource(found: readonly Finding[]): Promise<void> {
  const statements = new Set(found.flatMap(({ remedy = '' }) => statementsIn(remedy)));
  expect(statements.size).toBeGreaterThan(0);
  for (const statement of statements) await admin.query(statement);
}

describe('config', () => {
  test('without settings: the command that it prints leads to the next step', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tidegate-remedies-'));
    try {
      await copyFile(join(checkout, '.env.template'), join(folder, '.env.template'));
      const inFolder = async (command: string, args: readonly string[]) => {
        const child = spawn(command, args, { cwd: folder, env: commandEnv({}), stdio: ['ignore', 'pipe', 'pipe'] });
        let printed = '';
        for (const stream of [child.stdout, child.stderr])
          stream.setEncoding('utf8').on('data', (text: string) => (printed += text));
        await once(child, 'close');
        return printed;
      };
      const lag = async () => await inFolder(process.execPath, [join(checkout, 'src/cli.ts'), 'lag']);
      const [command] = /\bcp \.env\.template \.env\b/.exec(await lag()) ?? [];
      await inFolder('sh', ['-c', command ?? 'false']);
      expect(await lag()).not.toContain('settings are wrong');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('source-privilege', () => {
  test.each([
    ['reader', 'SOURCE_DB_READONLY_USER'],
    ['replicator', 'SOURCE_DB_REPLICATION_USER'],
  ] as const)('an account of the %s without any right gets them by what is printed', async (_, name) => {
    await admin.query(`revoke all privileges, grant option from ${replica.env[name]}@'%'`);
    const found = others(await check());
    expect(found.length).toBeGreaterThan(0);
    await runAtSource(found);
    expect(others(await check())).toEqual([]);
  });
});

describe('source-settings', () => {
  test.each([
    ['binlog_format', "'STATEMENT'"],
    ['binlog_row_image', "'MINIMAL'"],
    ['sync_binlog', '0'],
    ['binlog_checksum', "'NONE'"],
    ['binlog_expire_logs_seconds', '3600'],
  ])('%s = %s is corrected by the statement that is printed', async (name, value) => {
    const before = await setting(name);
    await admin.query(`set global ${name} = ${value}`);
    try {
      const found = (await check()).filter(({ message, remedy }) => `${message}${remedy}`.includes(name));
      expect(found).toHaveLength(1);
      await runAtSource(found);
      expect((await check()).filter(({ message, remedy }) => `${message}${remedy}`.includes(name))).toEqual([]);
    } finally {
      await admin.query(`set global ${name} = ${before}`);
    }
  });

  test('an init_connect that fails is turned off by the statement that is printed', async () => {
    // The log shows it as if Tidegate had sent it, so it is one of the statements that Tidegate does send.
    await admin.query("set global init_connect = 'set role `nobody`'");
    try {
      const found = others(await check());
      expect(found.map(({ kind }) => kind)).toEqual(['source-settings', 'source-settings']);
      expect(found[0]?.remedy).toContain('init_connect');
      await runAtSource(found);
      expect(others(await check())).toEqual([]);
    } finally {
      await admin.query(`set global init_connect = ''`);
    }
  });

  async function setting(name: string): Promise<string> {
    const [rows] = await admin.query(`select @@global.${name} as value`);
    const { value } = (rows as { value: string | number }[])[0] ?? { value: '' };
    return typeof value === 'number' || /^[\d.]+$/.test(value) ? String(value) : `'${value}'`;
  }
});

describe('source-unreachable', () => {
  test('a limit of the account is told apart, and passes when connections are closed', async () => {
    const reader = replica.env['SOURCE_DB_READONLY_USER'] ?? '';
    await admin.query(`alter user ${reader}@'%' with max_user_connections 1`);
    const held = await mysql.createConnection({
      ...{ host: source.host, port: source.port },
      ...{ user: reader, password: replica.readerPassword },
    });
    try {
      const [found, ...more] = others(await check());
      expect(found).toMatchObject({ kind: 'source-unreachable', subject: 'source (reader)' });
      expect(found?.remedy).toContain('max_user_connections');
      expect(more).toEqual([]);
      await held.end();
      await expect.poll(async () => others(await check()), { timeout: 20_000 }).toEqual([]);
    } finally {
      held.destroy();
      await admin.query(`alter user ${reader}@'%' with max_user_connections 0`);
    }
  });

  test('a source without a free connection is told apart', async () => {
    const before = (await admin.query('select @@global.max_connections as n'))[0] as { n: number }[];
    await admin.query('set global max_connections = 10');
    const held: Connection[] = [];
    try {
      const open = async () =>
        held.push(
          await mysql.createConnection({
            ...{ host: source.host, port: source.port },
            ...{ user: replica.env['SOURCE_DB_READONLY_USER'] ?? '', password: replica.readerPassword },
          }),
        );
      await expect(
        (async () => {
          for (;;) await open();
        })(),
      ).rejects.toMatchObject({ errno: 1040 });
      const found = others(await check());
      expect(found.map(({ kind }) => kind)).toEqual(['source-unreachable', 'source-unreachable']);
      expect(found[0]?.remedy).toContain('max_connections');
      // The number is the administrator's choice.
      await admin.query(
        (found[0]?.remedy ?? '').match(/set global max_connections = …;/)?.[0].replace('…', '50') ?? '',
      );
      expect(others(await check())).toEqual([]);
    } finally {
      for (const connection of held) connection.destroy();
      await admin.query(`set global max_connections = ${before[0]?.n ?? 151}`);
    }
  });
});

describe('source-busy', () => {
  test('a lock at the source that is held and let go: the first copy tries again by itself', async () => {
    const run = new RunProcess(replica.env, ['--until-caught-up']);
    try {
      await admin.query('lock tables patient write');
      await run.logged('retrying', ({ err }) => (err as { kind?: string }).kind === 'source-busy');
      await admin.query('unlock tables');
      await run.succeeded();
    } finally {
      await admin.query('unlock tables');
      await run.kill();
    }
  });
});

describe('source-changed', () => {
  test('another server is followed after the command that is printed', async () => {
    const copied = await createReplica(source, sharedServers().target);
    const moved = await createReplica(sharedServers().source, sharedServers().target);
    try {
      for (const [one, ids] of [
        [copied, '(1), (2)'],
        [moved, '(2), (3)'],
      ] as const) {
        const session = await one.sourceAdmin();
        await session.query('create table visit (id int not null primary key) engine=InnoDB');
        await session.query(`insert into visit values ${ids}`);
        await session.end();
      }
      const run = ['run', '--until-caught-up'];
      expect((await runCli(run, copied.env)).code).toBe(0);
      const ofTarget = Object.entries(copied.env).filter(([name]) => name.startsWith('TARGET_'));
      const env = { ...moved.env, ...Object.fromEntries(ofTarget) };
      const [found] = (await check(env)).filter(({ kind }) => kind === 'source-changed');
      await runPrinted(found?.remedy ?? '', /`tidegate (resync)`/, env);
      expect((await check(env)).filter(({ level }) => level === 'error')).toEqual([]);
      expect((await runCli(run, env)).code).toBe(0);
      const { rows } = await copied.targetAdmin.query('select id from raw.visit order by 1');
      expect(rows).toEqual([{ id: 2 }, { id: 3 }]);
    } finally {
      await copied.drop();
      await moved.drop();
    }
  });
});

describe('bad-row', () => {
  test('without TABLES_HALT the others go on, and the command that check prints writes the row', async () => {
    const one = await createReplica(sharedServers().source, sharedServers().target);
    try {
      const session = await one.sourceAdmin();
      await session.query('create table visit (id int not null primary key) engine=InnoDB');
      const run = ['run', '--until-caught-up'];
      expect((await runCli(run, one.env)).code).toBe(0);
      await one.targetAdmin.query('alter table raw.visit add constraint small check (id < 100)');
      await session.query('insert into visit values (1), (100)');
      await session.end();
      const halted = await runCli(run, { ...one.env, TABLES_HALT: 'visit' });
      expect([halted.code, halted.stdout]).toEqual([1, expect.stringContaining('"bad-row"')]);
      expect(halted.stdout).toContain('remove the table from TABLES_HALT');
      expect((await runCli(run, one.env)).code).toBe(0);
      const warned = await check(one.env);
      const [dead] = warned.filter(({ message }) => message.includes('dead letter'));
      await one.targetAdmin.query('alter table raw.visit drop constraint small');
      await runPrinted(dead?.remedy ?? '', /run tidegate (dead-letters retry \w+)/, one.env);
      expect((await check(one.env)).filter(({ message }) => message.includes('dead letter'))).toEqual([]);
      expect((await one.targetAdmin.query('select from raw.visit')).rowCount).toBe(2);
    } finally {
      await one.drop();
    }
  });
});
