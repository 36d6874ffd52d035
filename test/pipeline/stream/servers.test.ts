import { createServer, connect } from 'node:net';
import { Transform } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { SourceServer } from '../../../testing/servers/server.ts';
import { startSource } from '../../../testing/servers/source.ts';
import { Streaming } from './support/streaming.ts';
import { sharedServers } from '../../support/shared-servers.ts';

const flavors = ['mariadb', 'mysql'] as const;
let next = 1;
let streaming: Streaming | undefined;
let source: SourceServer | undefined;

afterEach(async () => {
  await streaming?.end();
  await source?.stop();
  streaming = source = undefined;
});

/** Each test starts its own server, because its settings are global. */
async function follow(flavor: (typeof flavors)[number], ...args: string[]): Promise<Streaming> {
  source = await startSource({ flavor, args });
  streaming = await Streaming.start(
    async (admin) => {
      await admin.query('create table beat (id int not null primary key, label varchar(300)) engine=InnoDB');
      await admin.query('create table beat_myisam (id int not null primary key, label varchar(300)) engine=MyISAM');
      await admin.query('create table changed (id int not null primary key, label varchar(300)) engine=InnoDB');
      await admin.query('create table documents (id int not null primary key, doc json) engine=InnoDB');
    },
    { source, target: sharedServers().target },
  );
  await flow(streaming);
  return streaming;
}

async function write({ source }: Streaming): Promise<void> {
  for (const table of ['beat', 'beat_myisam']) {
    await source.query(`insert into ${table} values (?, repeat('x', 250)), (?, repeat('y', 250))`, [next, next + 1]);
    await source.query(`update ${table} set label = repeat('z', 260) where id = ?`, [next]);
    await source.query(`delete from ${table} where id = ?`, [next + 1]);
  }
  next += 2;
}

async function flow(streaming: Streaming): Promise<void> {
  await write(streaming);
  await streaming.caughtUp();
  expect(await streaming.differences()).toEqual([]);
}

describe.each(flavors)('on %s', (flavor) => {
  test('checksums that are switched off and on, and files written with and without them', async () => {
    const streaming = await follow(flavor);
    for (const checksum of ['NONE', 'CRC32', 'NONE']) {
      await streaming.source.query(`set global binlog_checksum = '${checksum}'`);
      await flow(streaming);
    }
    await streaming.run.stop();
    for (const checksum of ['CRC32', 'NONE']) {
      await streaming.source.query(`set global binlog_checksum = '${checksum}'`);
      await write(streaming);
    }
    await streaming.restart();
    await flow(streaming);
  });

  test('a binlog that restarts while it is read is refused with source-diverged', async () => {
    const streaming = await follow(flavor);
    await streaming.source.query(flavor === 'mariadb' ? 'reset master' : 'reset binary logs and gtids');
    await write(streaming);
    expect(await streaming.run.logged('refused')).toMatchObject({ level: 'error', err: { kind: 'source-diverged' } });
  });
});

test('transactions of several domains, one with numbers that go back', async () => {
  const streaming = await follow('mariadb');
  for (const round of [1, 2]) {
    for (const domain of [0, 7, 1]) {
      await streaming.source.query(`set session gtid_domain_id = ${domain}`);
      await flow(streaming);
    }
    await streaming.source.query(`set session server_id = ${50 + round}`);
    await streaming.source.query(`set session gtid_seq_no = 5`);
    await flow(streaming);
    await streaming.run.stop();
    await write(streaming);
    await streaming.restart();
    await flow(streaming);
  }
});

test('events that MariaDB compresses', async () => {
  const streaming = await follow('mariadb');
  await streaming.source.query('set global log_bin_compress = 1, global log_bin_compress_min_len = 10');
  await flow(streaming);
  await streaming.source.query(`alter table changed add column note varchar(300) default '${'n'.repeat(200)}'`);
  await write(streaming);
  await streaming.caughtUp();
  expect((await streaming.tableState('changed')).state).toBe('suspended');
  await streaming.restart();
  await write(streaming);
  await streaming.caughtUp();
  expect(await streaming.differences()).toEqual([expect.stringMatching(/^changed/)]);
});

test('GTIDs with tags', async () => {
  const streaming = await follow('mysql');
  for (const tag of ['clinic', 'a'.repeat(32)]) {
    await streaming.source.query(`set gtid_next = 'AUTOMATIC:${tag}'`);
    await flow(streaming);
    await streaming.restart();
    await flow(streaming);
  }
});

test('transactions that MySQL compresses', async () => {
  const streaming = await follow('mysql');
  await streaming.source.query('set session binlog_transaction_compression = ON');
  await flow(streaming);
  await streaming.source.query('begin');
  for (const id of [next, next + 1])
    await streaming.source.query(`insert into beat values (?, repeat('b', 250))`, [id]);
  next += 2;
  await streaming.source.query('commit');
  const { database } = streaming;
  await streaming.source.query(`create database ${database}_other`);
  await streaming.source.query(`create table ${database}_other.beat (id int primary key)`);
  await streaming.source.query(`insert into ${database}_other.beat values (1)`);
  await streaming.source.query(
    `insert into changed select t1.id * 1000 + t2.id, repeat('c', 200) from beat t1, beat t2`,
  );
  await streaming.run.stop();
  await write(streaming);
  // A server may also compress all transactions.
  await streaming.source.query('set global binlog_transaction_compression = ON');
  await streaming.restart();
  await flow(streaming);
  expect(await streaming.rows("select 1 from tidegate_raw.tables where state <> 'streaming'")).toEqual([]);
});

test('a session that logs JSON values as differences suspends the tables it updates, and the others go on', async () => {
  const streaming = await follow('mysql');
  const { source, database } = streaming;
  await source.query(`create database ${database}_other`);
  await source.query(`create table ${database}_other.documents (id int primary key, doc json)`);
  for (const table of ['documents', `${database}_other.documents`])
    await source.query(`insert into ${table} values (1, json_object('a', repeat('x', 200), 'b', 1))`);
  await source.query(`set session binlog_row_value_options = 'PARTIAL_JSON'`);
  await source.query(`update ${database}_other.documents set doc = json_set(doc, '$.b', 2)`);
  await flow(streaming);
  await source.query(`update documents set doc = json_set(doc, '$.b', 2)`);
  await write(streaming);
  await streaming.caughtUp();
  expect(await streaming.rows("select table_name from tidegate_raw.tables where state = 'suspended'")).toEqual([
    ['documents'],
  ]);
  expect((await streaming.tableState('documents')).reason).toMatch(/binlog_row_value_options/);
  await streaming.restart();
  await write(streaming);
  await streaming.caughtUp();
  expect(await streaming.differences()).toEqual([expect.stringMatching(/^documents/)]);
});

test('a large row on a slow connection does not count as silence', async () => {
  // This test has its own server, because the changes of other suites would also pass the slow connection.
  const source = await startSource({ asProcess: true });
  const proxy = createServer((client) => {
    const server = connect(source.port, source.host);
    client.pipe(server).pipe(slowly()).pipe(client);
    for (const end of [client, server])
      end.on('error', () => {
        client.destroy();
        server.destroy();
      });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const address = proxy.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  try {
    streaming = await Streaming.start(
      async (admin) => void (await admin.query('create table scan (id int primary key, body longblob) engine=InnoDB')),
      { source, target: sharedServers().target },
      { SOURCE_DB_PORT: String(port) },
    );
    // The transfer takes longer than the permitted silence of the source.
    await streaming.source.query(`insert into scan values (1, repeat('x', 17000000))`);
    await streaming.caughtUp();
    expect(await streaming.rows('select octet_length(body) from scan')).toEqual([['17000000']]);
    expect(streaming.run.find('retrying')).toBeUndefined();
  } finally {
    await streaming?.end();
    streaming = undefined;
    proxy.close();
    await source.stop();
  }
});

/** Limits the rate to a megabyte a second, and catches up after late timers. */
function slowly(): Transform {
  let due = performance.now();
  return new Transform({
    highWaterMark: 16_384,
    transform(chunk: Buffer, _, done) {
      due = Math.max(due, performance.now() - 1_000) + chunk.length / 1000;
      void sleep(Math.max(0, due - performance.now())).then(() => done(null, chunk));
    },
  });
}
