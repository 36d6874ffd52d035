import { setTimeout as sleep } from 'node:timers/promises';
import mysql, { type Connection, type RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Replica, createReplica } from '../../testing/replica.ts';
import { RunProcess } from '../../testing/run-process.ts';
import type { SourceServer } from '../../testing/servers/server.ts';
import { startSource } from '../../testing/servers/source.ts';
import { runCli } from '../support/cli.ts';
import { sharedServers } from '../support/shared-servers.ts';

const dialects = {
  mariadb: {
    follow: (port: number) =>
      `change master to master_host = '127.0.0.1', master_port = ${port}, master_user = 'follower', master_password = 'follower', master_use_gtid = slave_pos`,
    start: 'start slave',
    behind: 'show all slaves status',
  },
  mysql: {
    follow: (port: number) =>
      `change replication source to source_host = '127.0.0.1', source_port = ${port}, source_user = 'follower', source_password = 'follower', source_auto_position = 1, get_source_public_key = 1`,
    start: 'start replica',
    behind: 'show replica status',
  },
} as const;

describe.each(['mariadb', 'mysql'] as const)('a source that is itself a replica (%s)', (flavor) => {
  const dialect = dialects[flavor];
  let primary: SourceServer;
  let source: SourceServer;
  let onPrimary: Connection;
  let onSource: Connection;
  let replica: Replica;
  let env: Readonly<Record<string, string>>;

  beforeAll(async () => {
    const logsReceived = flavor === 'mariadb' ? ['--log-slave-updates'] : [];
    primary = await startSource({ flavor, args: ['--server-id=201'] });
    // Without it, check has another warning.
    const safe = '--sync-binlog=1';
    source = await startSource({ flavor, args: ['--server-id=202', safe, ...logsReceived] });
    onPrimary = await connect(primary);
    await onPrimary.query(`create user follower@'%' identified by 'follower'`);
    await onPrimary.query(`grant replication slave on *.* to follower@'%'`);
    replica = await createReplica(primary, sharedServers().target);
    env = {
      ...replica.env,
      SOURCE_DB_HOST: source.host,
      SOURCE_DB_PORT: String(source.port),
      TABLES_INCLUDE: 'visits',
    };
    await onPrimary.query(`use ${replica.database}`);
    await onPrimary.query('create table visits (id int not null primary key)');
    await onPrimary.query('insert into visits values (1), (2), (3)');
    await onPrimary.query('create table held (id int not null primary key)');
    onSource = await connect(source);
    await onSource.query(dialect.follow(primary.port));
    await onSource.query(dialect.start);
    await until(
      async () => (await onSource.query(`select 1 from ${replica.database}.held`).catch(() => null)) !== null,
    );
  });

  afterAll(async () => {
    onPrimary?.destroy();
    onSource?.destroy();
    await replica?.drop();
    await Promise.all([primary?.stop(), source?.stop()]);
  });

  async function warnings(): Promise<string[]> {
    const { stdout } = await runCli(['check', '--json'], env);
    const { findings } = JSON.parse(stdout) as { findings: { level: string; message: string }[] };
    return findings.filter(({ level }) => level !== 'ok').map(({ message }) => message);
  }

  test('check names the privilege that is needed to see whether it falls behind', async () => {
    // MySQL shows the delay to every account that may see positions.
    expect(await warnings()).toEqual(flavor === 'mysql' ? [] : [expect.stringContaining('SLAVE MONITOR')]);
    if (flavor === 'mysql') return;
    await onPrimary.query(`grant slave monitor on *.* to ${replica.env['SOURCE_DB_REPLICATION_USER']}@'%'`);
    await until(async () => (await warnings()).length === 0);
  });

  test('is not read while it is behind, and read when it has caught up', async () => {
    // The lock keeps the replica from applying changes of this table.
    await onSource.query(`lock tables ${replica.database}.held read`);
    await onPrimary.query('insert into held values (1)');
    await until(async () => {
      const [rows] = await onSource.query<RowDataPacket[]>(dialect.behind);
      return Number(rows[0]?.['Seconds_Behind_Source'] ?? rows[0]?.['Seconds_Behind_Master']) >= 12;
    });
    const run = new RunProcess(env);
    try {
      await run.logged('snapshot waits: the source is a replica and falls behind');
      await sleep(1_000);
      expect((await replica.targetAdmin.query('select from raw.visits')).rowCount).toBe(0);
      await onSource.query('unlock tables');
      await run.logged('streaming');
      expect((await replica.targetAdmin.query('select from raw.visits')).rowCount).toBe(3);
      await run.stop();
    } finally {
      await run.kill();
    }
  });
});

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(100);
}

async function connect({ host, port, user, password }: SourceServer): Promise<Connection> {
  return await mysql.createConnection({ host, port, user, password });
}
