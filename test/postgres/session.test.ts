import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterEach, expect, test } from 'vitest';
import { compareDatabases, isEqual } from '../../testing/compare/compare.ts';
import { createReplica, type Replica } from '../../testing/replica.ts';
import { RunProcess } from '../../testing/run-process.ts';
import { startPgbouncer } from '../../testing/servers/pgbouncer.ts';
import { runCli } from '../support/cli.ts';
import { Proxy } from '../support/proxy.ts';
import { sharedServers } from '../support/shared-servers.ts';
import { targetConfig } from '../support/target-config.ts';
import { TargetSession, WritingSession, isAtWork } from '../../src/postgres/session.ts';
import { Scope } from '../../src/lifetime/scope.ts';

const { source, target } = sharedServers();
let replica: Replica | undefined;

afterEach(async () => {
  await replica?.drop();
  replica = undefined;
});

/** Settings that an administrator may have given the role. */
const settings = {
  datestyle: `'SQL, DMY'`,
  intervalstyle: `'sql_standard'`,
  timezone: `'America/St_Johns'`,
  bytea_output: `'escape'`,
  standard_conforming_strings: 'off',
  array_nulls: 'off',
  client_encoding: `'LATIN1'`,
  extra_float_digits: '-15',
  transform_null_equals: 'on',
  search_path: `''`,
  row_security: 'off',
  default_transaction_isolation: `'serializable'`,
  default_transaction_deferrable: 'on',
  statement_timeout: `'500ms'`,
  lock_timeout: `'10ms'`,
  idle_in_transaction_session_timeout: `'10ms'`,
  idle_session_timeout: `'100ms'`,
  ...(Number(target.version) >= 17 ? { transaction_timeout: `'1s'` } : {}),
} as const;

test('rows arrive unchanged with any settings of the role', async () => {
  const own = (replica = await createReplica(source, target));
  const admin = await own.sourceAdmin();
  const columns =
    'd date, dt datetime(3), ts timestamp(6) null, t time(2), f float, g double, b blob, s varchar(100), st set("x", "null"), n decimal(20, 5), u bigint unsigned, j longtext';
  const values = `'2020-02-03', '1999-12-31 23:59:59.123', '2020-01-01 00:00:00.5', '-100:10:10.5', 1.1, 1/3, x'005c27ff', 'it''s \\\\ ü€😀\\n null', 'x,null', 12345.678, 18446744073709551615, repeat('x', 1000)`;
  const insert = async (from: number, rows: number) => {
    for (const table of ['full', 'empty'])
      await admin.query(
        `insert into ${table} select seq, ${table === 'full' ? values : 'null, '.repeat(12).slice(0, -2)} from seq_${from}_to_${from + rows - 1}`,
      );
  };
  for (const table of ['full', 'empty'])
    await admin.query(`create table ${table} (id int not null primary key, ${columns}) default charset=utf8mb4`);
  await insert(1, 50);
  for (const [name, value] of Object.entries(settings))
    await own.targetAdmin.query(`alter role ${own.env['TARGET_DB_USER']} set ${name} = ${value}`);
  const run = new RunProcess(own.env);
  try {
    await run.logged('streaming');
    await insert(100, 10);
    await insert(200, 500);
    // More rows than one batch holds, so the written rows wait within the transaction for the rest.
    await insert(1_000, 20_000);
    await admin.query(`update full set st = null, t = '00:00:01' where id < 150`);
    await admin.query('delete from empty where id < 20');
    await admin.query('insert into full (id) values (99999)');
    const arrived = async () => (await own.targetAdmin.query('select from raw.full where id = 99999')).rowCount === 1;
    for (const deadline = Date.now() + 60_000; !(await arrived()); await sleep(50))
      if (!run.running || Date.now() > deadline) throw new Error(run.tail());
    const { host, port, user, password } = source;
    const compared = await compareDatabases({
      source: { host, port, user, password },
      database: own.database,
      target: own.targetAdminOptions,
      schema: own.schema,
    });
    expect(compared.filter((table) => !isEqual(table))).toEqual([]);
    expect(run.find('retrying')).toBeUndefined();
  } finally {
    await run.kill();
    await admin.end();
  }
});

test.each([
  ['session', []],
  ['session', ['options', 'extra_float_digits']],
  ['transaction', ['options', 'extra_float_digits']],
] as const)(
  'a pooler in %s mode that drops %j is recognised; set to PostgreSQL itself, as the hint says, it passes',
  async (mode, ignored) => {
    const own = (replica = await createReplica(source, target));
    const admin = await own.sourceAdmin();
    await admin.query('create table patient (id int not null primary key)');
    await admin.end();
    const pooler = await startPgbouncer(target, {
      ...{ mode, ignored, user: own.env['TARGET_DB_USER'] ?? '', password: own.targetPassword },
    });
    try {
      const { code, stdout } = await runCli(['check', '--json'], { ...own.env, TARGET_DB_PORT: String(pooler.port) });
      expect(code).toBe(1);
      expect(stdout).toContain('target-pooled');
      expect(stdout).toContain(
        'TARGET_DB_HOST and TARGET_DB_PORT lead to a connection pooler. Set them to PostgreSQL itself',
      );
      expect((await runCli(['check'], own.env)).code).toBe(0);
    } finally {
      await pooler.stop();
    }
  },
);

test('PostgreSQL reports whether it works for a session: true while it executes or waits for a lock, false while it waits for the session', async () => {
  const own = (replica = await createReplica(source, target));
  const config = targetConfig(own.env);
  const session = await WritingSession.open(new Scope(), config);
  const until = async (expected: boolean) => {
    for (
      const deadline = Date.now() + 10_000;
      (await isAtWork(new Scope(), config, session.backend)) !== expected;
      await sleep(20)
    )
      if (Date.now() > deadline) throw new Error(`not ${expected}`);
  };
  try {
    await until(false);
    const sleeping = sql`select pg_sleep(1)`.execute(session.db);
    await until(true);
    await sleeping;
    await until(false);
    await own.targetAdmin.query('select pg_advisory_lock(2)');
    const locked = sql`select pg_advisory_lock(2)`.execute(session.db);
    await until(true);
    await own.targetAdmin.query('select pg_advisory_unlock(2)');
    await locked;
    const trx = await session.begin();
    await until(false);
    await trx.rollback().execute();
  } finally {
    await session.close();
  }
  await until(false);
});

test.each(['password', 'settings'] as const)(
  'a connection that falls silent while it opens fails, at its %s',
  async (step) => {
    const own = (replica = await createReplica(source, target));
    await using proxy = await Proxy.start(target);
    const frozen = proxy.faultAtPacket('freeze', 1, (packet) =>
      step === 'password' ? packet[0] === 0x70 : packet.includes('pg_backend_pid'),
    );
    await using scope = new Scope();
    const env = { ...own.env, TARGET_DB_HOST: proxy.host, TARGET_DB_PORT: String(proxy.port) };
    await expect(TargetSession.open(scope, targetConfig(env))).rejects.toMatchObject({ kind: 'target-unreachable' });
    await expect.poll(() => frozen.isOver).toBe(true);
  },
);

test('a session that freezes in a transaction is ended at the server, too, even if the first attempt fails', async () => {
  const own = (replica = await createReplica(source, target));
  await using proxy = await Proxy.start(target);
  await using scope = new Scope();
  const env = { ...own.env, TARGET_DB_HOST: proxy.host, TARGET_DB_PORT: String(proxy.port) };
  const session = await WritingSession.open(scope, targetConfig(env));
  await session.begin();
  proxy.faultAtPacket('freeze', 1, (packet) => packet.includes('frozen'));
  const lost = expect(sql`select 'frozen'`.execute(session.db)).rejects.toMatchObject({
    kind: 'target-unreachable',
  });
  await expect.poll(() => proxy.cuts).toBe(1);
  const failed = proxy.faultAtPacket('reset', 1, (packet) => packet.includes('pg_terminate_backend'));
  await lost;
  const isThere = async () =>
    (await own.targetAdmin.query('select from pg_stat_activity where pid = $1', [session.backend.pid])).rowCount;
  await expect.poll(isThere, { timeout: 30_000 }).toBe(0);
  expect(failed.isMet).toBe(true);
});

test.each(['close', 'destroy'] as const)(
  'a session whose end does not arrive lets go of its locks all the same (%s)',
  async (how) => {
    const own = (replica = await createReplica(source, target));
    await using proxy = await Proxy.start(target);
    await using scope = new Scope();
    const env = { ...own.env, TARGET_DB_HOST: proxy.host, TARGET_DB_PORT: String(proxy.port) };
    const session = await WritingSession.open(scope, targetConfig(env));
    const isLocked = async () => {
      const { rows } = await own.targetAdmin.query<{ isLocked: boolean }>(
        `select exists (select from pg_locks where locktype = 'advisory' and pid = $1) as "isLocked"`,
        [session.backend.pid],
      );
      return rows[0]?.isLocked;
    };
    await sql`select pg_advisory_xact_lock(3)`.execute(await session.begin());
    expect(await isLocked()).toBe(true);
    proxy.mode = 'swallow';
    await session[how]();
    expect(await isLocked()).toBe(true);
    proxy.mode = 'pass';
    await expect.poll(isLocked, { timeout: 30_000 }).toBe(false);
  },
);
