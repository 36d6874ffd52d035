import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Streaming } from '../stream/support/streaming.ts';
import { runCli } from '../../support/cli.ts';

describe.each(['InnoDB', 'MyISAM'] as const)('tables without a key that TABLES_REFRESH names (%s)', (engine) => {
  let streaming: Streaming;

  beforeAll(async () => {
    streaming = await Streaming.start(
      async (source) => {
        await source.query(
          `create table log_line (at datetime null, note varchar(40), size float, key (at)) engine=${engine}`,
        );
        await source.query(
          `insert into log_line values (null, null, null), (null, null, null), ('2026-01-01', '', 0.1)`,
        );
        await source.query(`insert into log_line select '2026-02-02 10:00:00', 'the same', 1 from seq_1_to_500`);
        await source.query(`create table not_named (a int) engine=${engine}`);
        await source.query(`create table large (blob_ longblob) engine=${engine}`);
        await source.query(`insert into large select repeat('x', 1000000) from seq_1_to_10`);
        await source.query(`create table visit (id int not null primary key, n int)`);
        await source.query(`insert into visit select seq, seq from seq_1_to_1000`);
      },
      undefined,
      { TABLES_REFRESH: 'log_*,large', REFRESH_EVERY: '1h' },
    );
  });
  afterAll(async () => await streaming?.end());

  const env = () => ({ ...streaming.env, TABLES_REFRESH: 'log_*,large' });
  const failedJobs = async () => {
    const { stdout } = await runCli(['lag', '--json'], env());
    const { failedJobs } = JSON.parse(stdout) as { failedJobs: { table: string; kind: string }[] };
    return failedJobs.map(({ table, kind }) => ({ table, kind }));
  };
  const sorted = `select at, note, size from log_line order by at nulls first, note, size`;

  async function fullyRefreshed(table: string): Promise<void> {
    await streaming.until(
      async () =>
        (await streaming.rows(`select 1 from tidegate_raw.jobs where table_name = '${table}' and state = 'done'`))
          .length > 0,
      `${table} was fully refreshed`,
    );
  }

  test('arrive at once, each row as often as at the source', async () => {
    await fullyRefreshed('log_line');
    const rows = await streaming.rows(sorted);
    expect(rows.length).toBe(503);
    expect(rows.slice(0, 3)).toEqual([
      [null, null, null],
      [null, null, null],
      ['2026-01-01 00:00:00', '', '0.1'],
    ]);
    expect(await streaming.tableState('log_line')).toEqual({ state: 'full-refresh', reason: undefined });
    expect((await streaming.tableState('not_named')).state).toBeUndefined();
  });

  test('`backfill` fully refreshes them now, and writes only the rows that differ', async () => {
    const before = await streaming.rowVersions('log_line');
    await streaming.source.query(`update log_line set note = 'other' where note = 'the same' limit 3`);
    await streaming.source.query(`delete from log_line where at is null limit 1`);
    await streaming.source.query(`insert into log_line values ('2026-03-03', 'new', 2.5)`);
    const { code, stdout, stderr } = await runCli(['backfill', 'log_line'], env());
    expect(code, stdout + stderr).toBe(0);
    expect(stdout).toContain('log_line: 503 rows read, 8 repaired (4 were missing, 4 extra, 0 different)');
    const after = await streaming.rowVersions('log_line');
    expect({
      written: [...after].filter((row) => !before.has(row)).length,
      gone: [...before].filter((row) => !after.has(row)).length,
    }).toEqual({
      written: 4,
      gone: 4,
    });
    await runCli(['backfill', 'log_line'], env());
    expect(await streaming.rowVersions('log_line')).toEqual(after);
    expect(
      await streaming.rows(
        `select note, size, count(*) from log_line where at > '2026-02-01' group by 1, 2 order by 1`,
      ),
    ).toEqual([
      ['new', '2.5', '1'],
      ['other', '1', '3'],
      ['the same', '1', '497'],
    ]);
  });

  test('the stream goes on while rows are written', async () => {
    await fullyRefreshed('log_line');
    const reader = await streaming.newTargetSession();
    await reader.query('begin');
    await reader.query('select from log_line for update');
    await streaming.source.query(`update log_line set size = 3 where note = ''`);
    const backfill = runCli(['backfill', 'log_line'], env());
    await streaming.until(
      async () =>
        (
          await streaming.rows(
            `select 1 from pg_stat_activity where datname = current_database() and application_name like 'tidegate jobs%' and wait_event_type = 'Lock'`,
          )
        ).length > 0,
      'the full refresh waits for the lock',
    );
    await streaming.caughtUp();
    await reader.query('rollback');
    await reader.end();
    expect((await backfill).code).toBe(0);
    expect(await streaming.rows(`select size from log_line where note = ''`)).toEqual([['3']]);
  });

  test('get their current columns, after a restart and while it runs', async () => {
    const { source } = streaming;
    await source.query(`alter table log_line add column who varchar(10) null, drop column size`);
    await source.query(`update log_line set who = 'me' where at is null`);
    await streaming.run.stop();
    // A table that once had a key may have left such a dead letter.
    await streaming.target.query(
      `insert into tidegate_raw.dead_letters (table_name, key, row, format, reason)
       values ('log_line', 'k', 'r', 'image', 'made up')`,
    );
    streaming.follow(streaming.another([], { TABLES_REFRESH: 'log_*,large' }));
    await streaming.run.logged('streaming');
    expect(await streaming.rows('select reason from tidegate_raw.dead_letters')).toEqual([]);
    const backfill = async () => expect((await runCli(['backfill', 'log_line'], env())).code).toBe(0);
    await backfill();
    expect(await streaming.rows(`select who from log_line where at is null`)).toEqual([['me']]);
    // An added column, a column whose type changes its reading, and a dropped column.
    await source.query(`alter table log_line add column flag bit(8) null`);
    await source.query(`update log_line set flag = b'1000001' where at is null`);
    await backfill();
    expect(await streaming.rows(`select flag from log_line where at is null`)).toEqual([['01000001']]);
    await source.query(`alter table log_line modify column flag int null`);
    await backfill();
    expect(await streaming.rows(`select flag from log_line where at is null`)).toEqual([['65']]);
    await source.query(`alter table log_line drop column flag`);
    await backfill();
    expect(await streaming.rows(`select who from log_line where at is null`)).toEqual([['me']]);
    expect((await streaming.tableState('log_line')).state).toBe('full-refresh');
    // The first version, one with and one without `who`, and `flag` in two types: five versions; a restart adds none.
    const versions = () =>
      streaming.rows(`select count(*) from tidegate_raw.schema_versions where table_name = 'log_line'`);
    expect(await versions()).toEqual([['5']]);
    await streaming.run.stop();
    streaming.follow(streaming.another([], { TABLES_REFRESH: 'log_*,large' }));
    await streaming.run.logged('streaming');
    expect(await versions()).toEqual([['5']]);
  });

  test('keep their rows if a scheduled refresh would delete many, until somebody confirms it', async () => {
    // On a busy machine a read may take longer than its limit, and is refused.
    const refreshed = async (...options: string[]) =>
      await expect.poll(async () => (await runCli(['backfill', 'log_line', ...options], env())).code).toBe(0);
    await streaming.source.query(`insert into log_line (note) select 'many' from seq_1_to_2000`);
    await refreshed();
    await streaming.source.query(`delete from log_line where note = 'many'`);
    const many = async () => (await streaming.rows(`select count(*) from log_line where note = 'many'`))[0]?.[0];
    await streaming.target.query(`update tidegate_raw.jobs set finished_at = now() - interval '1 day'
      where table_name = 'log_line' and finished_at is not null`);
    await streaming.until(
      async () =>
        (await streaming.rows(`select from tidegate_raw.jobs where table_name = 'log_line' and unconfirmed`)).length >
        0,
      'the refresh is refused',
    );
    expect(await many()).toBe('2000');
    await refreshed('--yes');
    expect(await many()).toBe('0');
  });

  test('a table that is too large fails with this reason, and keeps its rows', async () => {
    expect(await streaming.rows(`select count(*) from large`)).toEqual([['10']]);
    await streaming.source.query(`insert into large select repeat('y', 1000000) from seq_1_to_30`);
    const { code, stdout } = await runCli(['backfill', 'large'], env());
    expect(code).toBe(1);
    // The machine decides which of the two limits comes first.
    expect(stdout).toMatch(/more than 32 MiB|takes too long/);
    expect(await streaming.rows(`select count(*) from large`)).toEqual([['10']]);
    expect(await failedJobs()).toEqual([{ table: 'large', kind: 'backfill' }]);
    expect((await runCli(['lag'], env())).stdout).toMatch(/failed +backfill large: table large has no key, and/);
    await streaming.source.query(`delete from large`);
    // On a busy machine, even an empty table may take too long.
    await streaming.until(
      async () => (await runCli(['backfill', 'large'], env())).code === 0,
      'the table is small enough',
    );
    expect(await failedJobs()).toEqual([]);
  });

  test('a table with a row that cannot be copied exactly fails with this reason, and keeps its rows', async () => {
    await streaming.source.query(`insert into log_line (note) values (_utf8mb4 x'eda080')`);
    const { code, stdout } = await runCli(['backfill', 'log_line'], env());
    expect(code).toBe(1);
    expect(stdout).toContain('column note: a row cannot be carried');
    expect((await streaming.rows(`select 1 from log_line where at is null`)).length).toBe(1);
  });

  test('cannot be verified or backfilled in part', async () => {
    expect((await runCli(['verify', 'log_line'], env())).stderr).toContain('has no key');
    expect((await runCli(['backfill', 'log_line', '--where', 'at is null'], env())).stderr).toContain('has no key');
    const { stdout } = await runCli(['verify'], env());
    expect(stdout).toContain('it has no key and is fully refreshed: large, log_line\n');
    expect(stdout).toContain('visit: equal');
    expect((await runCli(['check'], env())).stdout).toContain('it is fully refreshed every 60 minutes');
  });
});
