import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Streaming } from '../stream/support/streaming.ts';
import { runCli } from '../../support/cli.ts';

interface PrintedJob {
  readonly id: string;
  readonly table: string;
  readonly state: string;
  readonly reason: string | null;
  readonly counts: Readonly<Record<string, number>>;
}

/** Enough rows for a dozen chunks. */
const rows = 200_000;

describe('jobs', () => {
  let streaming: Streaming;

  beforeAll(async () => {
    streaming = await Streaming.start(
      async (source) => {
        await source.query(`create table visit (id int not null primary key, note varchar(40))`);
        await source.query(`insert into visit select seq, concat('visit ', seq) from seq_1_to_${rows}`);
        await source.query(`create table fee (id int not null primary key, amount int)`);
        await source.query(`insert into fee select seq, seq from seq_1_to_3000`);
        await source.query(`create table photo (id int not null primary key, bytes longblob)`);
        await source.query(`insert into photo select seq, repeat('x', 3000000) from seq_1_to_25`);
      },
      undefined,
      { ENVIRONMENT: 'production', SOURCE_DB_TLS: 'disable', TARGET_DB_TLS: 'disable' },
    );
  });
  afterAll(async () => await streaming?.end());

  async function requested(...args: string[]): Promise<string> {
    const { stdout, stderr } = await runCli(['backfill', '--detach', '--json', ...args], streaming.env);
    const [job] = (JSON.parse(stdout) as { jobs: PrintedJob[] }).jobs;
    if (job === undefined) throw new Error(stderr);
    return job.id;
  }

  async function job(id: string): Promise<PrintedJob> {
    const { stdout } = await runCli(['jobs', '--json'], streaming.env);
    const found = (JSON.parse(stdout) as { jobs: PrintedJob[] }).jobs.find((one) => one.id === id);
    if (found === undefined) throw new Error(`no job ${id}: ${stdout}`);
    return found;
  }

  async function rowsRead(id: string): Promise<number> {
    const [row] = await streaming.rows(`select rows from tidegate_raw.jobs where id = ${id}`);
    return Number(row?.[0]);
  }

  async function ended(id: string): Promise<void> {
    await streaming.until(
      async () =>
        !/waiting|running/.test(String(await streaming.rows(`select state from tidegate_raw.jobs where id = ${id}`))),
      `job ${id} has ended`,
    );
  }

  test('a cancelled job stops, keeps its repairs, and records who cancelled it', async () => {
    await streaming.target.query(`delete from visit where id = 1 or id = ${rows}`);
    const reader = await streaming.newTargetSession();
    await reader.query('begin; lock table visit in access exclusive mode');
    const id = await requested('visit');
    await streaming.until(async () => (await job(id)).state === 'running', 'the job runs');
    const { code, stdout } = await runCli(['jobs', 'cancel', id], streaming.env);
    expect(stdout).toBe('1 jobs cancelled\n');
    expect(code).toBe(0);
    await reader.query('rollback');
    await reader.end();
    const { state, reason } = await job(id);
    expect(state).toBe('cancelled');
    expect(reason).toMatch(/^by .+@/);
    const repaired = async () => String(await streaming.rows(`select id from visit where id in (1, ${rows})`));
    await streaming.until(async () => (await repaired()) === '1', 'the chunk under way is written');
    await sleep(1_500);
    expect(await repaired()).toBe('1');
  });

  test('a job that a crash interrupted continues at its position', async () => {
    await streaming.run.kill();
    const id = await requested('visit');
    const dying = streaming.another([], { TIDEGATE_FAILPOINT: 'job-advanced:3' });
    await dying.exited;
    const before = await rowsRead(id);
    expect(before).toBeGreaterThan(0);
    streaming.follow(streaming.another());
    await ended(id);
    const { state, counts } = await job(id);
    expect(state).toBe('done');
    expect(counts['rows']).toBe(rows);
    expect(await streaming.differences()).toEqual([]);
  });

  test('wide rows are read in chunks of few rows', async () => {
    await streaming.target.query(`delete from photo where id % 2 = 0`);
    await streaming.target.query(`update photo set bytes = overlay(bytes placing '\\x00' from 2999999) where id = 25`);
    const { code, stdout } = await runCli(['verify', 'photo', '--repair'], streaming.env);
    expect(stdout).toContain('photo: 12 missing, 1 different; repaired (25 rows');
    expect(code).toBe(0);
    expect(await streaming.differences()).toEqual([]);
  });

  test('in production a job that would delete a large share of a table stops before that, until --yes', async () => {
    const env = { ...streaming.env, ENVIRONMENT: 'production' };
    await streaming.run.stop();
    streaming.follow(streaming.another([], { ENVIRONMENT: 'production' }));
    await streaming.target.query(`insert into fee select n, 0 from generate_series(3001, 5000) n`);
    const refused = await runCli(['backfill', 'fee'], env);
    expect(refused.code).toBe(1);
    expect(refused.stdout).toContain('deleting so many must be confirmed');
    expect(await streaming.rows('select count(*) from fee')).toEqual([['5000']]);
    const allowed = await runCli(['backfill', 'fee', '--yes'], env);
    expect(allowed.stdout).toContain('2000 extra');
    expect(allowed.code).toBe(0);
    expect(await streaming.rows('select count(*) from fee')).toEqual([['3000']]);
  });

  test('the rows that such a job deleted before it stopped are reported', async () => {
    const env = { ...streaming.env, ENVIRONMENT: 'production' };
    // Extra rows at each end of the table exceed a chunk: first a tenth of the table, then too many.
    await streaming.target.query(`insert into visit select n, 'nobody' from generate_series(-15000, -1) n`);
    await streaming.target.query(
      `insert into visit select n, 'nobody' from generate_series(${rows} + 1, ${rows} + 15000) n`,
    );
    const refused = await runCli(['backfill', 'visit', '--json'], env);
    expect(refused.code).toBe(1);
    const [failed] = (JSON.parse(refused.stdout) as { jobs: PrintedJob[] }).jobs;
    const deleted = rows + 30_000 - Number((await streaming.rows('select count(*) from visit'))[0]?.[0]);
    expect(deleted).toBeGreaterThan(0);
    expect(failed?.counts).toMatchObject({ extra: deleted, repaired: deleted });
    expect(failed?.reason).toContain(`${deleted} were deleted before this stopped`);
    expect((await runCli(['backfill', 'visit', '--yes'], env)).code).toBe(0);
    expect(await streaming.differences()).toEqual([]);
  });

  test('a job requested during a pause reports the pause, and runs after it', async () => {
    expect((await runCli(['pause'], streaming.env)).code).toBe(0);
    const asked = runCli(['backfill', 'fee'], streaming.env);
    await sleep(2_500);
    expect((await runCli(['resume'], streaming.env)).code).toBe(0);
    const { code, stderr } = await asked;
    expect(stderr).toContain('paused: the jobs wait for `tidegate resume`');
    expect(code).toBe(0);
  });

  test('several tables at once, and the end of each job is recorded', async () => {
    const { code } = await runCli(['backfill', '--all', '--json'], streaming.env);
    expect(code).toBe(0);
    const audited = await streaming.rows(
      `select detail->>'table', detail->>'kind' from tidegate_raw.events where kind = 'job-ended' order by id desc limit 4`,
    );
    expect(new Set(audited.map(([table]) => table))).toEqual(new Set(['fee', 'photo', 'tide_mark', 'visit']));
  });

  test('VERIFY_EVERY verifies the tables in turn by itself, and lag shows the result', async () => {
    await streaming.target.query(`delete from fee where id = 17`);
    await streaming.target.query(`delete from tidegate_raw.jobs`);
    await streaming.run.stop();
    // Four tables in four hours is one table an hour, so the second one is not due yet.
    streaming.follow(streaming.another([], { VERIFY_EVERY: '4h' }));
    await streaming.until(
      async () => (await streaming.rows(`select 1 from tidegate_raw.jobs where state = 'done'`)).length === 1,
      'a table was verified',
    );
    await sleep(6_000);
    expect(await streaming.rows(`select table_name, requested_by from tidegate_raw.jobs`)).toEqual([
      ['fee', 'schedule'],
    ]);
    const { stdout } = await runCli(['lag', '--json'], streaming.env);
    expect((JSON.parse(stdout) as { verifications: unknown[] }).verifications).toMatchObject([
      { table: 'fee', isEqual: false, missing: 1, rows: 3000 },
    ]);
    expect((await runCli(['lag'], streaming.env)).stdout).toContain('fee: 1 missing, 0 extra, 0 different');
    // A backfill also compares the entire table.
    expect((await runCli(['backfill', 'fee'], streaming.env)).code).toBe(0);
    expect((await runCli(['lag'], streaming.env)).stdout).not.toContain('fee: 1 missing');
    const after = JSON.parse((await runCli(['lag', '--json'], streaming.env)).stdout) as { verifications: unknown[] };
    expect(after.verifications).toMatchObject([{ table: 'fee', isEqual: true, missing: 1, repaired: 1 }]);
  });
});
