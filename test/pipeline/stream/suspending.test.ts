import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Streaming } from './support/streaming.ts';

/** Each case suspends its own table; `steady` must keep streaming through all of them. */
let streaming: Streaming;

beforeAll(async () => {
  streaming = await Streaming.start(async (source) => {
    for (const table of ['steady', 'refused', 'widened', 'renamed', 'dropped']) {
      await source.query(`create table ${table} (id int not null primary key, label varchar(50)) engine=InnoDB`);
      await source.query(`insert into ${table} values (1, 'one')`);
    }
    await source.query(
      `create table letter (id int, code varchar(10) character set greek collate greek_bin primary key) engine=InnoDB`,
    );
  });
});

afterAll(async () => {
  await streaming?.end();
});

/** Expects that the table is suspended with this reason, and that the program and the other tables go on. */
async function expectSuspended(table: string, reason: RegExp): Promise<void> {
  await streaming.until(async () => (await streaming.tableState(table)).state === 'suspended', `${table} is suspended`);
  const { reason: given } = await streaming.tableState(table);
  expect(given).toMatch(reason);
  const line = await streaming.logged('table suspended', (line) => line['table'] === table);
  expect(JSON.stringify(line)).not.toContain('secret');
  const before = await streaming.rows('select count(*) from steady');
  await streaming.source.query('insert into steady select max(id) + 1, ? from steady', [`after ${table}`]);
  await streaming.caughtUp();
  expect(await streaming.rows('select count(*) from steady')).toEqual([[String(Number(before[0]?.[0]) + 1)]]);
}

describe('only a table that can no longer be followed exactly is suspended', () => {
  test('alter table', async () => {
    await streaming.source.query(`insert into widened values (2, 'two')`);
    await streaming.source.query(`alter table widened add column extra varchar(20) default 'secret'`);
    await streaming.source.query(`insert into widened values (3, 'three', 'secret')`);
    await expectSuspended('widened', /alter/iu);
    expect(await streaming.rows('select id from widened order by id')).toEqual([['1'], ['2']]);
  });

  test('a target table that was changed so that PostgreSQL refuses every row', async () => {
    await streaming.target.query(`alter table refused drop column label`);
    await streaming.source.query(`insert into refused values (2, 'secret')`);
    await expectSuspended('refused', /SQLSTATE 42703/u);
    expect(await streaming.rows('select id from refused')).toEqual([['1']]);
  });

  test('keys that would become equal, because some of their bytes are not characters', async () => {
    const { source } = streaming;
    await source.query(`insert into letter values (1, x'41'), (2, x'61')`);
    await source.query(`insert into letter values (3, x'41a4'), (4, x'41a5')`);
    await expectSuspended('letter', /key column code cannot be held/u);
  });

  test('rename table', async () => {
    await streaming.source.query(`rename table renamed to renamed_away`);
    await expectSuspended('renamed', /rename/iu);
    expect(await streaming.rows('select id from renamed')).toEqual([['1']]);
  });

  test('drop table keeps the rows at the target', async () => {
    await streaming.source.query(`drop table dropped`);
    await expectSuspended('dropped', /drop/iu);
    expect(await streaming.rows('select id from dropped')).toEqual([['1']]);
  });

  test('create, alter and drop of tables that are not replicated suspend nothing', async () => {
    await streaming.source.query(`create temporary table passing (id int)`);
    await streaming.source.query(`insert into passing values (1)`);
    await streaming.source.query(`drop temporary table passing`);
    await streaming.source.query(`create table steady_too (id int not null primary key)`);
    await streaming.source.query(`alter table steady_too add column note text`);
    await streaming.source.query(`drop table steady_too`);
    await streaming.source.query(`create or replace view steady_view as select id from steady`);
    await streaming.source.query(`create index by_label on steady (label)`);
    await streaming.source.query(`analyze table steady`);
    await streaming.source.query('insert into steady select max(id) + 1, ? from steady', ['after an index']);
    await streaming.caughtUp();
    expect((await streaming.tableState('steady')).state).toBe('streaming');
  });
});

test('statements that a server logs as text despite row format suspend nothing', async () => {
  const session = await streaming.newSourceSession();
  const user = `grantee_${streaming.database}@localhost`;
  try {
    for (const sql of [
      'create table steady_copy as select * from steady',
      'create table steady_memory (id int not null primary key) engine=MEMORY',
      'truncate steady_memory',
      'create sequence steady_numbers',
      'select setval(steady_numbers, 10)',
      'create table steady_past (id int not null primary key) with system versioning',
      'delete history from steady_past',
      `create user ${user}`,
      `grant select on steady to ${user}`,
      `drop user ${user}`,
      `update performance_schema.setup_consumers set enabled = 'YES'`,
      `replace into mysql.time_zone_name values ('tide', 1)`,
      `delete from mysql.time_zone_name where name = 'tide'`,
    ])
      await session.query(sql);
  } finally {
    await session.end();
  }
  await streaming.caughtUp();
  expect((await streaming.tableState('steady')).state).toBe('streaming');
});

describe('a change that was logged as a statement suspends every table, because its effects are unknown', () => {
  test.each([
    ['a table', 'InnoDB', 'stated'],
    ['a MyISAM table', 'MyISAM', 'stated'],
    ['a view', 'InnoDB', 'seen'],
  ])('through %s', async (_, engine, name) => {
    const own = await Streaming.start(async (source) => {
      for (const table of ['stated', 'other']) {
        await source.query(`create table ${table} (id int not null primary key, label varchar(50)) engine=${engine}`);
        await source.query(`insert into ${table} values (1, 'one')`);
      }
      await source.query('create view seen as select * from stated');
    });
    try {
      const session = await own.newSourceSession();
      await session.query(`set session binlog_format = 'STATEMENT'`);
      await session.query(`update ${name} set label = 'secret' where id = 1`);
      await session.end();
      for (const table of ['stated', 'other'])
        await own.until(async () => (await own.tableState(table)).state === 'suspended', `${table} is suspended`);
      expect((await own.tableState('stated')).reason).toMatch(/statement/iu);
      expect(await own.rows('select label from stated')).toEqual([['one']]);
      expect(JSON.stringify(own.run.lines)).not.toContain('secret');
    } finally {
      await own.end();
    }
  });
});
