import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from '../../support/cli.ts';
import { Streaming } from '../stream/support/streaming.ts';

describe('tables that are new or resumed while the others stream', () => {
  let streaming: Streaming;

  beforeAll(async () => {
    streaming = await Streaming.start(async (source) => {
      await source.query(`create table visit (id int not null primary key, note varchar(40))`);
      await source.query(`insert into visit select seq, concat('visit ', seq) from seq_1_to_2000`);
      await source.query(`create table fee (id int not null primary key, amount int, old_name varchar(10))`);
      await source.query(`insert into fee select seq, seq, 'x' from seq_1_to_2000`);
      await source.query(`create table code (code varchar(10) not null primary key, price int)`);
      await source.query(`insert into code select concat('D', seq), seq from seq_1_to_500`);
    });
  });
  afterAll(async () => await streaming?.end());

  async function becomesStreaming(table: string): Promise<void> {
    await streaming.until(async () => (await streaming.tableState(table)).state === 'streaming', `${table} streams`);
  }

  test('a new table is backfilled beside the stream after a restart', async () => {
    const { source } = streaming;
    await source.query(`create table late (id bigint not null primary key, v int) engine=MyISAM`);
    await source.query(`insert into late select seq, seq from seq_1_to_30000`);
    await streaming.restart();
    await source.query(`update late set v = -1 where id % 7 = 0`);
    await source.query(`delete from late where id % 11 = 0`);
    await source.query(`insert into late values (90000, 1)`);
    await becomesStreaming('late');
    await streaming.caughtUp();
    expect(await streaming.differences()).toEqual([]);
  });

  test('a new table is backfilled at once by `backfill`', async () => {
    const { source } = streaming;
    await source.query(`create table later (id int not null primary key, v int)`);
    await source.query(`insert into later select seq, seq from seq_1_to_5000`);
    const { code, stdout, stderr } = await runCli(['backfill', 'later'], streaming.env);
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('later: 5000 rows read, 5000 repaired');
    await source.query(`update later set v = 0`);
    await streaming.caughtUp();
    expect(await streaming.differences()).toEqual([]);
  });

  test('a new table whose backfill is cancelled is suspended until it is backfilled again', async () => {
    const { source } = streaming;
    await source.query(`create table cancelled (id int not null primary key, v int) engine=MyISAM`);
    await source.query(`insert into cancelled values (1, 1), (2, 2)`);
    const session = await streaming.newSourceSession();
    await session.query('lock tables cancelled write');
    await runCli(['backfill', '--detach', 'cancelled'], streaming.env);
    const state = async () => (await streaming.tableState('cancelled')).state;
    await streaming.until(async () => (await state()) === 'backfilling', 'it is backfilled');
    const [job] = await streaming.rows(`select max(id)::text from tidegate_raw.jobs where table_name = 'cancelled'`);
    expect((await runCli(['jobs', 'cancel', String(job)], streaming.env)).code).toBe(0);
    await session.query('unlock tables');
    await session.end();
    await streaming.until(async () => (await state()) === 'suspended', 'it is suspended');
    await streaming.restart();
    expect(await streaming.tableState('cancelled')).toEqual({
      state: 'suspended',
      reason: 'its backfill was cancelled before all of it was read',
    });
    expect((await runCli(['backfill', 'cancelled'], streaming.env)).code).toBe(0);
    expect(await state()).toBe('streaming');
    expect(await streaming.differences()).toEqual([]);
  });

  test('a suspended table gets its current columns, keeps its views, and streams again', async () => {
    const { source, target } = streaming;
    await target.query(`create view fee_view as select id, amount from fee`);
    await source.query(`alter table fee add column paid date null, drop column old_name`);
    await source.query(`update fee set paid = '2026-11-23' where id < 100`);
    await streaming.until(async () => (await streaming.tableState('fee')).state === 'suspended', 'fee is suspended');
    expect((await runCli(['verify', 'fee'], streaming.env)).stdout).toContain('the table is suspended');
    expect((await runCli(['check'], streaming.env)).stdout).toMatch(
      /warning +table fee: suspended, .*\n +-> it returns by itself, next try at .*; to try now: tidegate backfill fee; or, .* TABLES_EXCLUDE/,
    );
    const { code, stdout, stderr } = await runCli(['backfill', 'fee'], streaming.env);
    expect(code, stdout + stderr).toBe(0);
    expect((await runCli(['check'], streaming.env)).stdout).not.toContain('suspended');
    await source.query(`insert into fee (id, amount, paid) values (70000, 1, '2020-02-02')`);
    await streaming.caughtUp();
    expect(await streaming.differences()).toEqual([]);
    expect((await target.query('select count(*)::int as n from fee_view')).rows).toEqual([{ n: 2001 }]);
    expect(await streaming.tableState('fee')).toEqual({ state: 'streaming', reason: undefined });
  });

  test('if a view prevents the new columns, the table stays suspended with this reason', async () => {
    const { source, target } = streaming;
    await target.query(`create view visit_view as select note from visit`);
    await source.query(`alter table visit drop column note`);
    await source.query(`insert into visit values (80000)`);
    await streaming.until(
      async () => (await streaming.tableState('visit')).state === 'suspended',
      'visit is suspended',
    );
    const refused = await runCli(['backfill', 'visit'], streaming.env);
    expect(refused.code).toBe(1);
    expect(refused.stdout).toContain(
      'a view or another object at the target depends on a column that must be dropped or altered',
    );
    await target.query(`drop view visit_view`);
    expect((await runCli(['backfill', 'visit'], streaming.env)).code).toBe(0);
    expect(await streaming.differences()).toEqual([]);
  });

  test('a table with another key is read again into the same target table', async () => {
    const { source } = streaming;
    await source.query(
      `alter table code drop primary key, add column id int not null auto_increment primary key first`,
    );
    await source.query(`insert into code (code, price) values ('D1', 2)`);
    await streaming.until(async () => (await streaming.tableState('code')).state === 'suspended', 'code is suspended');
    expect((await runCli(['backfill', 'code'], streaming.env)).code).toBe(0);
    await source.query(`update code set code = null where false`).catch(() => undefined);
    await source.query(`update code set price = 0 where id < 100`);
    await streaming.caughtUp();
    expect(await streaming.differences()).toEqual([]);
  });

  test('without a service, `backfill` does the work itself and ends', async () => {
    await streaming.run.stop();
    await streaming.source.query(`update fee set amount = -1 where id % 2 = 0`);
    await streaming.target.query(`delete from raw.later where id < 50`);
    const { code, stdout, stderr } = await runCli(['backfill', 'later', 'fee'], streaming.env);
    expect(code, stdout + stderr).toBe(0);
    expect(stdout).toContain('later: 5000 rows read, 49 repaired');
    expect(await streaming.differences()).toEqual([]);
    expect((await runCli(['verify'], streaming.env)).code).toBe(0);
    expect((await runCli(['jobs'], streaming.env)).stdout).toContain('backfill  done');
  });
});

describe('rows so wide that a few hundred exceed one read', () => {
  let streaming: Streaming;

  beforeAll(async () => {
    streaming = await Streaming.start(async (source) => {
      // With a text key, each key of the target is looked up at the source.
      await source.query(`create table document (name varchar(20) not null primary key, body mediumtext)`);
      await source.query(`insert into document select concat('D', seq), repeat('body ', 16000) from seq_1_to_600`);
    });
  });
  afterAll(async () => await streaming?.end());

  test('are all compared, and none is considered missing at the source', async () => {
    const { code, stdout, stderr } = await runCli(['verify', '--repair', '--json', 'document'], streaming.env);
    expect(code, stderr).toBe(0);
    const { tables } = JSON.parse(stdout) as { tables: { counts: object }[] };
    expect(tables[0]?.counts).toMatchObject({ missing: 0, extra: 0, different: 0, repaired: 0 });
    expect(await streaming.rows('select count(*) from document')).toEqual([['600']]);
  });
});
