import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import mysql from 'mysql2/promise';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compareDatabases, isEqual } from '../sandbox/compare.ts';
import { RunProcess } from '../sandbox/run-process.ts';
import { type SourceServer, startSource } from '../sandbox/servers/source.ts';
import { type Replica, createReplica } from './support/replica.ts';
import { sharedServers } from './support/shared-servers.ts';

/** Two servers of one replication group: `second` follows `first`, and its binlog files have lower numbers. */
let first: SourceServer;
let second: SourceServer;
let onSecond: Connection;
const replicas: Replica[] = [];

beforeAll(async () => {
  first = await startSource({ args: ['--server-id=101', '--log-slave-updates'] });
  second = await startSource({ args: ['--server-id=102', '--log-slave-updates'] });
  const { host, port, user, password } = second;
  onSecond = await mysql.createConnection({ host, port, user, password });
  const onFirst = await mysql.createConnection({
    host: first.host,
    port: first.port,
    user: first.user,
    password: first.password,
  });
  for (let file = 0; file < 7; file++) await onFirst.query('flush binary logs');
  await onFirst.query(`create user follower@'%' identified by 'follower'`);
  await onFirst.query(`grant replication slave on *.* to follower@'%'`);
  await onFirst.end();
  await onSecond.query(
    `change master to master_host = '${first.host}', master_port = ${first.port}, master_user = 'follower', master_password = 'follower', master_use_gtid = slave_pos`,
  );
  await onSecond.query('start slave');
});

afterAll(async () => {
  for (const replica of replicas) await replica.drop();
  onSecond?.destroy();
  await Promise.all([first?.stop(), second?.stop()]);
});

async function makeReplica(): Promise<Replica> {
  const replica = await createReplica(first, sharedServers().target);
  replicas.push(replica);
  const source = await replica.sourceAdmin();
  await source.query('create table visits (id int not null primary key, note varchar(40)) engine=InnoDB');
  await source.query(`insert into visits select seq, concat('visit ', seq) from seq_1_to_500`);
  await source.end();
  return replica;
}

/** Waits until the second server has all that the first one has. */
async function followed(replica: Replica): Promise<void> {
  const source = await replica.sourceAdmin();
  const [[row]] = await source.query<RowDataPacket[]>('select @@global.gtid_binlog_pos as gtid');
  await source.end();
  await onSecond.query('select master_gtid_wait(?, 30)', [row?.['gtid']]);
}

function movedEnv(replica: Replica): Record<string, string> {
  return { ...replica.env, SOURCE_DB_HOST: second.host, SOURCE_DB_PORT: String(second.port) };
}

test('a snapshot under way stays with its server', async () => {
  const replica = await makeReplica();
  await followed(replica);
  const killed = new RunProcess({ ...replica.env, TIDEGATE_FAILPOINT: 'chunk-committed:1' });
  await killed.exited;
  const moved = new RunProcess(movedEnv(replica), ['--until-caught-up']);
  expect(await moved.exited).toMatchObject({ code: 1 });
  expect(moved.lines.at(-1)?.['err']).toMatchObject({ kind: 'source-changed' });
  const back = new RunProcess(replica.env, ['--until-caught-up']);
  await back.succeeded();
});

test('the stream goes on from the other server by GTID, though its files are other ones', async () => {
  const replica = await makeReplica();
  const run = new RunProcess(replica.env);
  await run.logged('streaming');
  await sleep(1_500);
  await run.stop();
  const source = await replica.sourceAdmin();
  await source.query(`update visits set note = 'changed on the first' where id <= 100`);
  await followed(replica);
  await source.end();
  await onSecond.query('stop slave');
  await onSecond.query(`use ${replica.database}`);
  await onSecond.query(`update visits set note = 'changed on the second' where id between 50 and 150`);
  await onSecond.query('delete from visits where id > 450');

  const moved = new RunProcess(movedEnv(replica));
  await moved.logged('streaming');
  await onSecond.query(`insert into visits values (9000, 'later')`);
  await moved.stop();
  const again = new RunProcess(movedEnv(replica), ['--until-caught-up']);
  await again.succeeded();
  const [compared] = await compareDatabases({
    source: { host: second.host, port: second.port, user: second.user, password: second.password },
    database: replica.database,
    target: replica.targetAdminOptions,
    schema: replica.schema,
  });
  expect(compared).toMatchObject({ table: 'visits', sourceRows: 451 });
  expect(compared !== undefined && isEqual(compared)).toBe(true);
});
