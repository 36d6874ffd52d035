import type { Connection, RowDataPacket } from 'mysql2/promise';
import mysql from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compareDatabases, isEqual } from '../../../testing/compare/compare.ts';
import { RunProcess } from '../../../testing/run-process.ts';
import { startSource } from '../../../testing/servers/source.ts';
import type { SourceServer } from '../../../testing/servers/server.ts';
import { runCli } from '../../support/cli.ts';
import { purgeBinlogs } from '../../support/purge-binlogs.ts';
import { dialects } from '../../support/replication-dialects.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { sharedServers } from '../../support/shared-servers.ts';

describe.each(['mariadb', 'mysql'] as const)('after a failover inside a replication group of %s', (flavor) => {
  const dialect = dialects[flavor];
  /** `second` follows `first`, and its binlog files have lower numbers. */
  let first: SourceServer;
  let second: SourceServer;
  let onSecond: Connection;
  const replicas: Replica[] = [];

  beforeAll(async () => {
    const logsReceived = flavor === 'mariadb' ? ['--log-slave-updates'] : [];
    first = await startSource({ flavor, args: ['--server-id=101', ...logsReceived], asProcess: true });
    second = await startSource({ flavor, args: ['--server-id=102', ...logsReceived], asProcess: true });
    onSecond = await connect(second);
    const onFirst = await connect(first);
    for (let file = 0; file < 7; file++) await onFirst.query('flush binary logs');
    await onFirst.query(`create user follower@'%' identified by 'follower'`);
    await onFirst.query(`grant replication slave on *.* to follower@'%'`);
    await onFirst.end();
    await onSecond.query(dialect.follow(first.host, first.port));
    await onSecond.query(dialect.start);
  });

  afterAll(async () => {
    for (const replica of replicas) await replica.drop();
    onSecond?.destroy();
    await Promise.all([first?.stop(), second?.stop()]);
  });

  async function makeReplica(): Promise<Replica> {
    await onSecond.query(dialect.start);
    const replica = await createReplica(first, sharedServers().target);
    replicas.push(replica);
    await onFirst(
      replica,
      'create table visits (id int not null primary key, note varchar(40)) engine=InnoDB',
      `insert into visits with recursive n as (select 1 as id union all select id + 1 from n where id < 500) select id, concat('visit ', id) from n`,
    );
    return replica;
  }

  async function onFirst(replica: Replica, ...statements: string[]): Promise<void> {
    const source = await replica.sourceAdmin();
    for (const statement of statements) await source.query(statement);
    await source.end();
  }

  /** Streams from the first server until the snapshot is complete. */
  async function streamedFromFirst(replica: Replica): Promise<void> {
    const run = new RunProcess(replica.env);
    await run.logged('streaming');
    await run.stop();
  }

  /** Waits until the second server has everything that the first one has, then stops its replication. */
  async function promoteSecond(replica: Replica): Promise<void> {
    const source = await replica.sourceAdmin();
    const [[row]] = await source.query<RowDataPacket[]>(dialect.applied);
    await source.end();
    await onSecond.query(dialect.wait, [row?.['gtid']]);
    await onSecond.query(dialect.stop);
  }

  function movedEnv(replica: Replica): Record<string, string> {
    return { ...replica.env, SOURCE_DB_HOST: second.host, SOURCE_DB_PORT: String(second.port) };
  }

  async function expectEqual(replica: Replica, sourceRows: number): Promise<void> {
    const [compared] = await compareDatabases({
      source: { host: second.host, port: second.port, user: second.user, password: second.password },
      database: replica.database,
      target: replica.targetAdminOptions,
      schema: replica.schema,
    });
    expect(compared).toMatchObject({ table: 'visits', sourceRows });
    expect(compared !== undefined && isEqual(compared)).toBe(true);
  }

  test('a running snapshot stays with its server, and check reports it', async () => {
    const replica = await makeReplica();
    const killed = new RunProcess({ ...replica.env, TIDEGATE_FAILPOINT: 'chunk-committed:1' });
    await killed.exited;
    await promoteSecond(replica);
    const checked = await runCli(['check', '--json'], movedEnv(replica));
    expect(checked.stdout).toContain('"source-changed"');
    expect(checked.stdout).toContain('snapshot of table visits');
    const moved = new RunProcess(movedEnv(replica), ['--until-caught-up']);
    expect((await moved.exited).code).toBe(2);
    const back = new RunProcess(replica.env, ['--until-caught-up']);
    await back.succeeded();
  });

  test('the stream continues from the other server by GTID, although its files differ', async () => {
    const replica = await makeReplica();
    await streamedFromFirst(replica);
    await onFirst(replica, `update visits set note = 'changed on the first' where id <= 100`);
    await promoteSecond(replica);
    await onSecond.query(`use ${replica.database}`);
    await onSecond.query(`update visits set note = 'changed on the second' where id between 50 and 150`);
    await onSecond.query('delete from visits where id > 450');

    const { stdout } = await runCli(['lag', '--json'], movedEnv(replica));
    expect(JSON.parse(stdout)).toMatchObject({ secondsBehind: null, bytesBehind: null });
    expect(stdout).toContain('another server');
    // Killed between the move and the first batch, it starts again without a position in any file.
    const killed = new RunProcess({ ...movedEnv(replica), TIDEGATE_FAILPOINT: 'batch-applied:1' });
    expect((await killed.exited).signal).toBe('SIGKILL');

    const moved = new RunProcess(movedEnv(replica));
    await moved.logged('streaming');
    await onSecond.query(`insert into visits values (9000, 'later')`);
    await moved.stop();
    const again = new RunProcess(movedEnv(replica), ['--until-caught-up']);
    await again.succeeded();
    await expectEqual(replica, 451);
  });

  test('a server that purged unapplied transactions is refused with position-lost', async () => {
    const replica = await makeReplica();
    await streamedFromFirst(replica);
    await onFirst(replica, `update visits set note = 'not seen'`);
    await promoteSecond(replica);
    await onSecond.query('flush binary logs');
    await purgeBinlogs(onSecond);
    const { stdout } = await runCli(['check', '--json'], movedEnv(replica));
    expect(stdout).toContain('"position-lost"');
  });

  test('a server that lacks applied transactions is refused, although it has newer transactions of its own', async () => {
    const replica = await makeReplica();
    await promoteSecond(replica);
    await streamedFromFirst(replica);
    await onFirst(replica, `insert into visits values (7000, 'never replicated')`);
    await new RunProcess(replica.env, ['--until-caught-up']).succeeded();
    await onSecond.query(`use ${replica.database}`);
    for (const id of [8001, 8002, 8003]) await onSecond.query(`insert into visits values (${id}, 'its own')`);
    const { stdout } = await runCli(['check', '--json'], movedEnv(replica));
    expect(stdout).toContain('"source-diverged"');
  });
});

async function connect({ host, port, user, password }: SourceServer): Promise<Connection> {
  return await mysql.createConnection({ host, port, user, password });
}
