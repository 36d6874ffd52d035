import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from '../../support/cli.ts';
import { Streaming } from '../stream/support/streaming.ts';

/** Objects of somebody else under the name of a table of the source, each with the statements that make it and remove it. */
const objects = [
  ['a table', 'create table raw.%s (id bigint primary key, name text, written_by text)', 'drop table raw.%s'],
  ['a view', 'create view raw.%s as select 1 as id', 'drop view raw.%s'],
  ['a materialized view', 'create materialized view raw.%s as select 1 as id', 'drop materialized view raw.%s'],
  ['a sequence', 'create sequence raw.%s', 'drop sequence raw.%s'],
  ['a partitioned table', 'create table raw.%s (id int) partition by range (id)', 'drop table raw.%s'],
  ['an index', 'create index %s on raw.kept (v)', 'drop index raw.%s'],
  ['a type', "create type raw.%s as enum ('a')", 'drop type raw.%s'],
] as const;

describe('what Tidegate did not make at the target', () => {
  let streaming: Streaming;

  beforeAll(async () => {
    streaming = await Streaming.start(async (source) => {
      await source.query('create table kept (id int not null primary key, v int)');
      await source.query('insert into kept select seq, seq from seq_1_to_100');
      await source.query('create table exchanged (id int not null primary key, v int)');
      await source.query('insert into exchanged select seq, seq from seq_1_to_2000');
    });
  });
  afterAll(async () => await streaming?.end());

  const suspended = async (table: string) =>
    await streaming.until(
      async () => (await streaming.tableState(table)).state === 'suspended',
      `${table} is suspended`,
    );
  /** Lets the pauses of suspended tables end now. */
  const endPauses = async () =>
    await streaming.target.query(`update tidegate_raw.tables set retry_at = now() where retry_at is not null`);
  const streams = async (table: string) =>
    await streaming.until(async () => {
      await endPauses();
      return (await streaming.tableState(table)).state === 'streaming';
    }, `${table} streams`);

  test('is neither emptied nor read into by `backfill`, and the other tables go on', async () => {
    await streaming.target.query(`create table report (id bigint primary key, name text, written_by text)`);
    await streaming.target.query(`insert into report select n, 'r', 'analyst' from generate_series(1, 300) n`);
    await streaming.source.query('create table report (id bigint not null primary key, name text)');
    const { code, stdout } = await runCli(['backfill', 'report'], streaming.env);
    expect(code, stdout).toBe(1);
    expect(stdout).toContain('holds a table named report that Tidegate did not make');
    await streaming.source.query('insert into kept values (1000, 1)');
    await streaming.caughtUp();
    expect(await streaming.rows('select count(*), min(written_by) from report')).toEqual([['300', 'analyst']]);
  });

  test('stays as it is over a broken connection in production, whatever kind of object it is', async () => {
    for (const [index, [, create]] of objects.entries()) {
      await streaming.target.query(create.replaceAll('%s', `taken_${index}`));
      await streaming.source.query(`create table taken_${index} (id bigint not null primary key, name text)`);
      await streaming.source.query(`insert into taken_${index} values (1, 'ours')`);
    }
    await streaming.run.stop();
    streaming.follow(streaming.another([], { ENVIRONMENT: 'production' }));
    await streaming.run.logged('streaming');
    await streaming.target.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'tidegate%' and datname = current_database()`,
    );
    await streaming.run.logged('retrying');
    await streaming.source.query('insert into kept values (1001, 1)');
    await streaming.caughtUp();
    const { stdout: checked } = await runCli(['check'], streaming.env);
    const { suspendedTables } = JSON.parse((await runCli(['lag', '--json'], streaming.env)).stdout) as {
      suspendedTables: { table: string; reason: string; remedy: string; retryAt: string | null }[];
    };
    for (const [index, [kind]] of objects.entries()) {
      expect(await streaming.tableState(`taken_${index}`)).toEqual({
        state: 'suspended',
        reason: `schema raw of the target holds ${kind} named taken_${index} that Tidegate did not make`,
      });
      expect(checked).toContain(`holds ${kind} named taken_${index} that`);
      const told = suspendedTables.find(({ table }) => table === `taken_${index}`);
      expect(told?.remedy).toContain('it returns by itself, next try at');
      expect(told?.retryAt).not.toBeNull();
    }
    expect(checked).toContain('ready, with');
    expect(await streaming.rows('select * from taken_1')).toEqual([['1']]);
    expect(await streaming.rows('select count(*) from taken_0')).toEqual([['0']]);
  });

  test('is no obstacle any more once it is gone: the tables return by themselves', async () => {
    for (const [index, [, , drop]] of objects.entries())
      await streaming.target.query(drop.replaceAll('%s', `taken_${index}`));
    for (const index of objects.keys()) await streams(`taken_${index}`);
    await streaming.target.query('alter table report rename to report_of_the_analyst');
    await streams('report');
    await streaming.target.query('drop table report_of_the_analyst');
    expect(await streaming.differences()).toEqual([]);
  });

  test('is not written when it takes the place of a table that streams', async () => {
    await streaming.target.query('alter table exchanged rename to exchanged_before');
    await streaming.target.query('create table exchanged (id int primary key, v int, _loaded_at timestamptz)');
    await streaming.target.query('alter table exchanged owner to ' + streaming.env['TARGET_DB_USER']);
    await streaming.target.query(`insert into exchanged values (1, 77, null)`);
    await streaming.source.query('update exchanged set v = 5 where id = 1');
    await suspended('exchanged');
    await streaming.source.query('insert into kept values (1002, 1)');
    await streaming.caughtUp();
    expect(await streaming.rows('select id, v from exchanged')).toEqual([['1', '77']]);
    expect((await streaming.tableState('exchanged')).reason).toContain('holds a table named exchanged');
    await streaming.target.query('drop table exchanged');
    await streaming.target.query('alter table exchanged_before rename to exchanged');
    await streams('exchanged');
    expect(await streaming.differences()).toEqual([]);
  });

  test('is not dropped by `reset`, nor are columns that others added dropped by a backfill', async () => {
    await streaming.target.query(`alter table kept add column note text default 'mine'`);
    await streaming.source.query('alter table kept add column w int');
    await streaming.source.query('update kept set w = 3');
    await suspended('kept');
    await streams('kept');
    expect(await streaming.rows(`select distinct note, w from kept`)).toEqual([['mine', '3']]);
    // A column of the source with the name of theirs is not written either.
    await streaming.source.query(`alter table kept add column note varchar(10) default 'source'`);
    await suspended('kept');
    await endPauses();
    await streaming.until(
      async () => (await streaming.tableState('kept')).reason?.includes('has a column note') === true,
      'kept waits for the column',
    );
    expect(await streaming.rows(`select distinct note from kept`)).toEqual([['mine']]);
    await streaming.target.query('alter table kept rename column note to remark');
    await streams('kept');
    expect(await streaming.rows(`select distinct remark, note, w from kept`)).toEqual([['mine', 'source', '3']]);

    await streaming.run.stop();
    await streaming.target.query('drop table exchanged; create view exchanged as select 5 as five');
    const { code, stdout, stderr } = await runCli(['reset', '--yes'], streaming.env);
    expect(code, stdout + stderr).toBe(0);
    expect(await streaming.rows('select five from exchanged')).toEqual([['5']]);
    expect(await streaming.rows(`select count(*) from pg_tables where schemaname = 'raw'`)).toEqual([['0']]);
  });
});

describe('a table in full refresh', () => {
  let streaming: Streaming;

  beforeAll(async () => {
    streaming = await Streaming.start(
      async (source) => await source.query('create table other (id int not null primary key)').then(() => undefined),
      undefined,
      { TABLES_REFRESH: 'notes*', REFRESH_EVERY_MINUTES: '1' },
    );
  });
  afterAll(async () => await streaming?.end());

  test('leaves the table of an analyst with all its columns alone', async () => {
    await streaming.target.query(`create table notes (who text, said text, secret_opinion text)`);
    await streaming.target.query(`insert into notes values ('a', 'b', 'c')`);
    await streaming.source.query('create table notes (who varchar(10), said varchar(10))');
    await streaming.target.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'tidegate%' and datname = current_database()`,
    );
    await streaming.until(
      async () => (await streaming.tableState('notes')).state === 'suspended',
      'notes is suspended',
    );
    expect(await streaming.rows('select who, said, secret_opinion from notes')).toEqual([['a', 'b', 'c']]);
  });
});
