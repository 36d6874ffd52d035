import { setTimeout as sleep } from 'node:timers/promises';
import type { RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Streaming } from './support/streaming.ts';
import { sequence } from '../../support/sequence.ts';
import { sharedServers } from '../../support/shared-servers.ts';

/** One running replica for the entire file; every test uses its own tables. */
let streaming: Streaming;

beforeAll(async () => {
  streaming = await Streaming.start(async (source) => {
    const make = async (name: string, columns: string, engine = 'InnoDB'): Promise<void> =>
      void (await source.query(`create table ${name} (${columns}) engine=${engine} default character set utf8mb4`));
    await make('item', 'id int not null primary key, label varchar(50)');
    await make('word', 'word varchar(50) not null primary key, uses int not null');
    await make('scratch', 'id int not null primary key, label varchar(50)');
    await make('scratch_myisam', 'id int not null primary key, label varchar(50)', 'MyISAM');
    await make('order_head', 'id int not null primary key, total int not null');
    await make('order_line', 'id int not null auto_increment primary key, order_id int not null, amount int not null');
    await make('visit', 'id int not null primary key, label varchar(50)', 'MyISAM');
    await make('half', 'id int not null primary key, label varchar(50)');
    await make('bulk', 'id int not null primary key, label varchar(250), state int not null');
    await make('document', 'id int not null primary key, body longblob, note longtext');
    await make('quiet', 'id int not null primary key, label varchar(50)');
    await make('pair', 'a int not null, b varchar(20) not null, label varchar(50), primary key (a, b)');
    await source.query(`insert into scratch values (1, 'one'), (2, 'two')`);
    await source.query(`insert into scratch_myisam values (1, 'one'), (2, 'two')`);
  });
});

afterAll(async () => {
  await streaming?.end();
});

describe('every change arrives as it was made', () => {
  test('insert, update, delete, replace and on duplicate key update', async () => {
    await streaming.source.query(`insert into item values (1, 'a'), (2, 'b'), (3, 'c'), (4, null)`);
    await streaming.source.query(`update item set label = 'B' where id = 2`);
    await streaming.source.query(`delete from item where id = 3`);
    await streaming.source.query(`replace into item values (4, 'replaced')`);
    await streaming.source.query(`insert into item values (1, 'x') on duplicate key update label = concat(label, '!')`);
    await streaming.caughtUp();
    expect(await streaming.rows('select id, label from item order by id')).toEqual([
      ['1', 'a!'],
      ['2', 'B'],
      ['4', 'replaced'],
    ]);
  });

  test('a primary key that changes leaves no row under the old key', async () => {
    await streaming.source.query(`insert into pair values (1, 'x', 'first'), (2, 'x', 'second')`);
    await streaming.caughtUp();
    await streaming.source.query(`update pair set a = 10, label = 'moved' where a = 1`);
    await streaming.source.query(`update pair set b = 'y' where a = 2`);
    await streaming.caughtUp();
    expect(await streaming.rows('select a, b, label from pair order by a')).toEqual([
      ['2', 'y', 'second'],
      ['10', 'x', 'moved'],
    ]);
  });

  test('keys that swap within one transaction', async () => {
    await streaming.source.query(`insert into pair values (101, 'k', 'was 101'), (102, 'k', 'was 102')`);
    await streaming.caughtUp();
    await streaming.source.query('start transaction');
    await streaming.source.query(`update pair set a = 199 where a = 101`);
    await streaming.source.query(`update pair set a = 101 where a = 102`);
    await streaming.source.query(`update pair set a = 102 where a = 199`);
    await streaming.source.query('commit');
    await streaming.caughtUp();
    expect(await streaming.rows('select a, label from pair where a > 100 order by a')).toEqual([
      ['101', 'was 102'],
      ['102', 'was 101'],
    ]);
  });

  test('a text key that changes only its case, although both are equal at the source', async () => {
    await streaming.source.query(`insert into word values ('Tide', 1), ('gate', 1)`);
    await streaming.caughtUp();
    await streaming.source.query(`update word set word = 'TIDE' where word = 'tide'`);
    await streaming.source.query(`delete from word where word = 'GATE'`);
    await streaming.source.query(`insert into word values ('Gate', 2)`);
    await streaming.caughtUp();
    expect(await streaming.rows('select word, uses from word order by word')).toEqual([
      ['Gate', '2'],
      ['TIDE', '1'],
    ]);
  });

  test('truncate empties the table, and later rows stay', async () => {
    for (const table of ['scratch', 'scratch_myisam']) {
      expect(await streaming.rows(`select count(*) from ${table}`)).toEqual([['2']]);
      await streaming.source.query(`insert into ${table} values (3, 'before')`);
      await streaming.source.query(`truncate table ${table}`);
      await streaming.source.query(`insert into ${table} values (2, 'after')`);
    }
    await streaming.source.query('truncate `scratch`');
    await streaming.caughtUp();
    expect(await streaming.rows('select id, label from scratch')).toEqual([]);
    expect(await streaming.rows('select id, label from scratch_myisam')).toEqual([['2', 'after']]);
  });

  test('MyISAM statements, each in its own group, also inside a transaction that is rolled back', async () => {
    await streaming.source.query(`insert into visit values (1, 'a'), (2, 'b'), (3, 'c')`);
    // MySQL with GTIDs refuses mixed transactions.
    const isMixed = sharedServers().source.flavor === 'mariadb';
    if (isMixed) await streaming.source.query('start transaction');
    if (isMixed) await streaming.source.query(`insert into item values (50, 'never')`);
    await streaming.source.query(`insert into visit values (4, 'stays: MyISAM knows no rollback')`);
    if (isMixed) await streaming.source.query('rollback');
    await streaming.source.query(`update visit set label = upper(label) where id <= 2`);
    await streaming.source.query(`delete from visit where id = 3`);
    await streaming.caughtUp();
    expect(await streaming.rows('select id, label from visit order by id')).toEqual([
      ['1', 'A'],
      ['2', 'B'],
      ['4', 'stays: MyISAM knows no rollback'],
    ]);
    expect(await streaming.rows('select id from item where id = 50')).toEqual([]);
  });

  test('a savepoint that is rolled back leaves nothing behind', async () => {
    await streaming.source.query('start transaction');
    await streaming.source.query(`insert into half values (1, 'kept')`);
    await streaming.source.query('savepoint middle');
    await streaming.source.query(`insert into half values (2, 'dropped')`);
    await streaming.source.query(`update half set label = 'dropped' where id = 1`);
    await streaming.source.query('rollback to savepoint middle');
    await streaming.source.query(`insert into half values (3, 'kept')`);
    await streaming.source.query('commit');
    await streaming.caughtUp();
    expect(await streaming.rows('select id, label from half order by id')).toEqual([
      ['1', 'kept'],
      ['3', 'kept'],
    ]);
  });

  test('transactions that changed nothing, and updates to the same value', async () => {
    await streaming.source.query('start transaction');
    await streaming.source.query('commit');
    await streaming.source.query(`update item set label = label`);
    await streaming.source.query(`delete from item where id = 987654`);
    await streaming.source.query(`flush tables`);
    await streaming.caughtUp();
    expect(await streaming.rows('select count(*) from item where id = 987654')).toEqual([['0']]);
  });

  test('a row of 16 MB', async () => {
    const size = 8 * 1024 * 1024;
    await streaming.source.query(`insert into document values (1, repeat(x'00ff5c0a', ?), repeat('ab\\tc\\\\', ?))`, [
      size / 4,
      Math.floor(size / 5),
    ]);
    await streaming.caughtUp();
    const [[atSource]] = await streaming.source.query<RowDataPacket[]>(
      'select sha2(body, 256) as body, cast(length(body) as char) as bytes, sha2(note, 256) as note from document',
    );
    const digest = (bytes: string) => `encode(sha256(${bytes}), 'hex')`;
    const columns = `${digest('body')}, octet_length(body)::text, ${digest(`convert_to(note, 'utf8')`)}`;
    expect(await streaming.rows(`select ${columns} from document`)).toEqual([
      [atSource?.['body'], atSource?.['bytes'], atSource?.['note']],
    ]);
  });
});

describe('a transaction stays complete', () => {
  test('over several tables: a reader never sees a head without its lines', async () => {
    const seen = streaming.watch(
      `select h.id::text as "order", h.total::text as total, coalesce(sum(l.amount), 0)::text as lines
         from order_head h left join order_line l on l.order_id = h.id group by h.id, h.total having h.total <> coalesce(sum(l.amount), 0)`,
    );
    for (let order = 1; order <= 150; order++) {
      // Wait for the reader, so that it also looks during the orders if it is slow.
      await streaming.until(() => Promise.resolve(seen.looks() >= order / 5), 'the reader looked again');
      await streaming.source.query('start transaction');
      await streaming.source.query('insert into order_head values (?, 60)', [order]);
      await streaming.source.query('insert into order_line (order_id, amount) values (?, 10), (?, 20)', [order, order]);
      await streaming.source.query('insert into order_line (order_id, amount) values (?, 30)', [order]);
      await streaming.source.query('commit');
      if (order % 10 === 0) {
        await streaming.source.query('start transaction');
        await streaming.source.query('update order_line set amount = amount + 1 where order_id = ?', [order - 5]);
        await streaming.source.query('update order_head set total = total + 3 where id = ?', [order - 5]);
        await streaming.source.query('commit');
      }
    }
    await streaming.caughtUp();
    const { looks, found } = await seen.stop();
    expect(found).toEqual([]);
    expect(looks).toBeGreaterThan(20);
    expect(await streaming.rows('select count(*), sum(total) from order_head')).toEqual([
      ['150', String(150 * 60 + 15 * 3)],
    ]);
  });

  test('of 200,000 rows, far more than one batch holds: none or all, for insert, update and delete', async () => {
    const rows = 200_000;
    const counts = streaming.watch(
      `select count(*)::text as rows, count(*) filter (where state = 1)::text as updated from bulk
        having count(*) not in (0, ${rows}) or count(*) filter (where state = 1) not in (0, ${rows})`,
    );
    await streaming.source.query(
      `insert into bulk select seq, repeat('x', 200), 0 from ${sequence(1, rows)} order by seq`,
    );
    await streaming.caughtUp();
    expect(await streaming.rows('select count(*) from bulk')).toEqual([[String(rows)]]);
    await streaming.source.query('update bulk set state = 1');
    await streaming.caughtUp();
    expect(await streaming.rows('select count(*) from bulk where state = 1')).toEqual([[String(rows)]]);
    await streaming.source.query('delete from bulk');
    await streaming.caughtUp();
    const { found } = await counts.stop();
    expect(found).toEqual([]);
    expect(await streaming.rows('select count(*) from bulk')).toEqual([['0']]);
  });
});

describe('other schemas and rotated files', () => {
  test('changes and DDL in other schemas are skipped, and the checkpoint moves past them', async () => {
    await streaming.caughtUp();
    const before = await streaming.checkpoint();
    const other = `${streaming.database}_other`;
    await streaming.source.query(`create database ${other}`);
    try {
      await streaming.source.query(`create table ${other}.item (id int primary key, label text)`);
      await streaming.source.query(`insert into ${other}.item values (1, 'not ours'), (77, 'not ours')`);
      await streaming.source.query(`alter table ${other}.item add column more int`);
      const head = await streaming.sourcePosition();
      await streaming.until(
        async () => (await streaming.checkpoint()) >= head,
        'the checkpoint passes the other schema',
      );
      expect(before < head).toBe(true);
      expect(await streaming.rows('select id from item where id = 77')).toEqual([]);
    } finally {
      await streaming.source.query(`drop database ${other}`);
    }
    await sleep(200);
    await streaming.caughtUp();
  });

  test('a rotated binlog is followed', async () => {
    for (let round = 0; round < 3; round++) {
      await streaming.source.query('flush binary logs');
      await streaming.source.query('insert into quiet values (?, ?)', [round, `after rotation ${round}`]);
    }
    await streaming.caughtUp();
    expect(await streaming.rows('select count(*) from quiet')).toEqual([['3']]);
  });
});
