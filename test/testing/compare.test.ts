import type { Connection } from 'mysql2/promise';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compareDatabases, type TableComparison } from '../../testing/compare/compare.ts';
import { createReplica, type Replica } from '../../testing/replica.ts';
import { sharedServers } from '../support/shared-servers.ts';

type Plant = readonly [name: string, sql: string, counts: Partial<TableComparison>, column: string];

/** The difference planted at the target, its expected counts, and the end of its one example. */
const plants: readonly Plant[] = [
  ['a missing row', 'delete from planted where id = 2', { missing: 1, targetRows: 2 }, 'missing (2)'],
  ['an extra row', "insert into planted (id, note) values (9, 'x')", { extra: 1, targetRows: 4 }, ')'],
  [
    'a second row of one key',
    'insert into planted select * from planted where id = 1',
    { extra: 1, targetRows: 4 },
    ')',
  ],
  ['one changed character', "update planted set note = 'Zahm' where id = 1", { different: 1 }, 'note'],
  ['an empty string for NULL', "update planted set note = '' where id = 2", { different: 1 }, 'note'],
  ['NULL for an empty string', 'update planted set note = null where id = 3', { different: 1 }, 'note'],
  ['a trailing space', "update planted set note = note || ' ' where id = 1", { different: 1 }, 'note'],
  ['one changed byte', String.raw`update planted set body = '\x00ff11' where id = 1`, { different: 1 }, 'body'],
  [
    'the last bit of a double',
    'update planted set price = 0.30000000000000004 where id = 1',
    { different: 1 },
    'price',
  ],
  ['a negative zero', "update planted set price = '-0' where id = 3", { different: 1 }, 'price'],
  ['the last bit of a float', 'update planted set rate = 0.10000001 where id = 1', { different: 1 }, 'rate'],
  ['a sixth decimal', 'update planted set amount = 12.340001 where id = 1', { different: 1 }, 'amount'],
  ['a tenth of a second', "update planted set span = '-00:00:00.2' where id = 1", { different: 1 }, 'span'],
  ['the sign of a time', "update planted set span = '00:00:00.1' where id = 1", { different: 1 }, 'span'],
  ['a microsecond', "update planted set at = '2024-02-29 23:59:59.000002' where id = 1", { different: 1 }, 'at'],
  ['an hour', "update planted set moment = moment + interval '1 hour' where id = 1", { different: 1 }, 'moment'],
  ['a date where the source has none', "update planted set day = '0001-01-01' where id = 2", { different: 1 }, 'day'],
  ['a member of a set', "update planted set marks = '{a}' where id = 1", { different: 1 }, 'marks'],
  ['a bit', "update planted set flags = b'00000000100' where id = 1", { different: 1 }, 'flags'],
  ['the only bit', 'update planted set yes = false where id = 1', { different: 1 }, 'yes'],
  ['a member of an enum', "update planted set state = 'new' where id = 1", { different: 1 }, 'state'],
  ['a year', 'update planted set year_of = 2000 where id = 1', { different: 1 }, 'year_of'],
  ['the last digit of a large integer', 'update planted set big = big - 1 where id = 1', { different: 1 }, 'big'],
  ['a byte of a shape', 'update planted set spot = set_byte(spot, 12, 9) where id = 1', { different: 1 }, 'spot'],
  ['an address', "update planted set peer = '::2' where id = 1", { different: 1 }, 'peer'],
  ['jsonb for text', 'alter table planted alter column doc type jsonb using doc::jsonb', { different: 1 }, 'doc'],
  [
    'truth where the source has a number',
    'alter table planted alter column tiny type boolean using tiny <> 0',
    { different: 1 },
    'tiny',
  ],
  [
    'a clock where the source has an instant',
    "alter table planted alter column moment type timestamp using moment at time zone 'UTC'",
    { different: 1 },
    'moment',
  ],
  [
    'a second row of one key with other values',
    "insert into planted (id, note) values (1, 'x')",
    { extra: 1, targetRows: 4 },
    'second row (1)',
  ],
  ['a key that is missing', 'alter table planted drop column id', { missing: 3, extra: 3 }, 'key id'],
  ['a column that is missing', 'alter table planted drop column note', { different: 3 }, 'columns note'],
  ['a table that is missing', 'drop table planted', { missing: 3, targetRows: 0 }, 'lacks the table'],
];

describe('compareDatabases', () => {
  let replica: Replica;
  let source: Connection;
  let target: Client;

  beforeAll(async () => {
    const servers = sharedServers();
    replica = await createReplica(servers.source, servers.target);
    source = await replica.sourceAdmin();
    target = new Client(replica.targetAdminOptions);
    await target.connect();
    await source.query("set sql_mode = ''");
    await source.query("set time_zone = '+00:00'");
    await source.query(
      `create table planted (
         id bigint not null primary key, note varchar(40) character set latin1, body blob, price double, rate float,
         amount decimal(20,6), span time(6), at datetime(6), moment timestamp(3) null, day date, marks set('a','b','c d'),
         flags bit(11), state enum('new','o''ld'), year_of year, yes bit(1), tiny tinyint, big bigint unsigned, spot point,
         peer inet6, doc json)`,
    );
    await source.query('create table keyless (note varchar(40), tiny tinyint)');
    await source.query("insert into keyless values ('a', 1), ('a', 1), ('a', 1), ('b', 2)");
    await source.query('create table twice (day date primary key, note varchar(40))');
    await source.query("insert into twice values ('0000-00-00', 'a'), ('2023-00-00', 'b')");
    await source.query(
      String.raw`insert into planted values
         (1, 'Zähm', x'00ff10', 0.1 + 0.2e0, 0.1, 12.34, '-00:00:00.1', '2024-02-29 23:59:59.000001', '2024-07-01 12:00:00.5',
          '2024-02-29', 'a,c d', b'101', 'o''ld', 1999, b'1', 1, 18446744073709551615, point(1, -2), '::1', '{"a":1}'),
         (2, null, null, null, null, null, null, null, null, '0000-00-00', null, null, null, null,
          null, null, null, null, null, null),
         (3, '', '', 0, 0, 0, '-838:59:59.999999', '2023-00-10 01:02:03', '0000-00-00 00:00:00', '2023-02-00', '', b'0', 'new', 0,
          b'0', null, 0, null, null, null)`,
    );
    // SQL text cannot express this value exactly, so it is set as a number.
    await source.query('update planted set price = ? where id = 1', [0.3]);
  });

  afterAll(async () => {
    source?.destroy();
    await target?.end();
    await replica?.drop();
  });

  async function compare(table = 'planted'): Promise<TableComparison> {
    const { host, port, user, password } = sharedServers().source;
    const [compared] = await compareDatabases({
      source: { host, port, user, password },
      database: replica.database,
      target: replica.targetAdminOptions,
      schema: replica.schema,
      tables: [table],
    });
    if (compared === undefined) throw new Error('no table was compared');
    return compared;
  }

  /** The same rows, written by hand after the documentation of types. */
  async function plantEqual(): Promise<void> {
    await target.query(`create schema if not exists "${replica.schema}"`);
    await target.query(`set search_path = "${replica.schema}"`);
    await target.query('drop table if exists planted');
    await target.query(
      `create table planted (
         id bigint not null, note text, body bytea, price double precision, rate real, amount numeric(20,6), span interval(6),
         at timestamp(6), moment timestamptz(3), day date, marks text[], flags bit(11), state text, year_of smallint,
         yes boolean, tiny smallint, big numeric(20,0), spot bytea, peer inet, doc text,
         _loaded_at timestamptz default now())`,
    );
    await target.query(
      String.raw`insert into planted values
         (1, 'Zähm', '\x00ff10', 0.3, 0.1, 12.34, '-00:00:00.1', '2024-02-29 23:59:59.000001', '2024-07-01 12:00:00.5+00',
          '2024-02-29', '{a,"c d"}', b'00000000101', 'o''ld', 1999, true, 1, 18446744073709551615,
          '\x000000000101000000000000000000f03f00000000000000c0', '::1', '{"a":1}'),
         (2, null, null, null, null, null, null, null, null, null, null, null, null, null,
          null, null, null, null, null, null),
         (3, '', '', 0, 0, 0, '-838:59:59.999999', null, null, null, '{}', b'00000000000', 'new', 0,
          false, null, 0, null, null, null)`,
    );
  }

  test('equal rows are equal', async () => {
    await plantEqual();
    expect(await compare()).toEqual({
      table: 'planted',
      sourceRows: 3,
      targetRows: 3,
      missing: 0,
      extra: 0,
      different: 0,
      examples: [],
    });
  });

  test.each(plants)('sees %s', async (_name, sql, counts, end) => {
    await plantEqual();
    await target.query(sql);
    const compared = await compare();
    expect(compared).toMatchObject({ missing: 0, extra: 0, different: 0, ...counts });
    expect(compared.examples).toEqual([expect.toSatisfy((example: string) => example.endsWith(end))]);
  });

  test('rows without a key are counted by their values, which no example shows', async () => {
    await plantEqual();
    await target.query('drop table if exists keyless');
    await target.query('create table keyless (note text, tiny smallint)');
    await target.query("insert into keyless values ('b', 2), ('a', 1), ('a', 1), ('c', 3)");
    const example = 'row of a table without a key';
    expect(await compare('keyless')).toEqual({
      table: 'keyless',
      sourceRows: 4,
      targetRows: 4,
      missing: 1,
      extra: 1,
      different: 0,
      examples: [`extra ${example}`, `missing ${example}`],
    });
    await target.query("delete from keyless where note = 'c'");
    await target.query("insert into keyless values ('a', 1)");
    expect(await compare('keyless')).toMatchObject({ missing: 0, extra: 0, different: 0, examples: [] });
    await target.query('alter table keyless drop column tiny');
    expect(await compare('keyless')).toMatchObject({
      missing: 0,
      extra: 0,
      different: 4,
      examples: ['the target lacks the columns tiny'],
    });
  });

  test('keys that become equal at the target pair by their rows, in any order', async () => {
    await plantEqual();
    await target.query('drop table if exists twice');
    await target.query('create table twice (day date, note text)');
    await target.query("insert into twice values (null, 'b'), (null, 'a')");
    expect(await compare('twice')).toMatchObject({ missing: 0, extra: 0, different: 0, examples: [] });
    await target.query("update twice set note = 'c' where note = 'a'");
    expect(await compare('twice')).toMatchObject({ missing: 0, extra: 0, different: 1 });
  });
});
