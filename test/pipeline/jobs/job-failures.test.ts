import type { RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Streaming } from '../stream/support/streaming.ts';
import { runCli } from '../../support/cli.ts';

/** Enough rows for a dozen chunks. */
const rows = 100_000;

describe('a fault of a job affects only this job', () => {
  let streaming: Streaming;

  beforeAll(async () => {
    streaming = await Streaming.start(
      async (source) => {
        await source.query(`create table visit (id int not null primary key, note varchar(40))`);
        await source.query(`insert into visit select seq, concat('visit ', seq) from seq_1_to_${rows}`);
        await source.query(`create table old_style (id int not null primary key, note varchar(40)) engine=MyISAM`);
        await source.query(`insert into old_style select seq, 'x' from seq_1_to_5000`);
        await source.query(`create table log_line (note varchar(40), size int)`);
        await source.query(`insert into log_line values ('a', 1), ('a', 1)`);
      },
      undefined,
      { TABLES_REFRESH: 'log_*' },
    );
  });
  afterAll(async () => await streaming?.end());

  const env = () => ({ ...streaming.env, TABLES_REFRESH: 'log_*' });

  async function job(id: string): Promise<{ state: string | null; reason: string | null }> {
    const [row] = await streaming.rows(`select state, reason from tidegate_raw.jobs where id = ${id}`);
    return { state: row?.[0] ?? null, reason: row?.[1] ?? null };
  }

  async function requested(...args: string[]): Promise<string> {
    const { stdout, stderr } = await runCli(['backfill', '--detach', '--json', ...args], env());
    const [found] = (JSON.parse(stdout) as { jobs: { id: string }[] }).jobs;
    if (found === undefined) throw new Error(stderr);
    return found.id;
  }

  test('a job waits for a locked table, and the stream is not disturbed', async () => {
    const session = await streaming.newSourceSession();
    let id: string;
    try {
      await session.query('lock tables old_style write');
      id = await requested('old_style');
      await streaming.logged('job waits for another attempt', ({ table }) => table === 'old_style');
      expect(await streaming.rows(`select reason from tidegate_raw.jobs where id = ${id}`)).toEqual([
        [expect.stringContaining('1205')],
      ]);
      await streaming.caughtUp();
    } finally {
      session.destroy();
    }
    await streaming.until(async () => (await job(id)).state === 'done', 'it is done');
    expect((await job(id)).reason).toBeNull();
    expect(streaming.run.find('retrying')).toBeUndefined();
  });

  /** Requests a backfill and calls `work` while the job runs and a lock at the target blocks it. */
  async function whileItRuns(table: string, work: () => Promise<void>): Promise<string> {
    const blocker = await streaming.newTargetSession();
    try {
      await blocker.query(`begin; lock table ${table} in access exclusive mode`);
      const id = await requested(table);
      await streaming.until(async () => (await job(id)).state === 'running', 'it runs');
      await work();
      return id;
    } finally {
      await blocker.end();
    }
  }

  test('a job reconnects when the source ends its connections', async () => {
    const id = await whileItRuns('visit', async () => {
      let ended = 0;
      await streaming.until(async () => {
        const [sessions] = await streaming.source.query<RowDataPacket[]>(
          `select id from information_schema.processlist where db = '${streaming.database}' and user like 'rd%'`,
        );
        for (const { id: session } of sessions) await streaming.source.query(`kill ${String(session)}`);
        ended += sessions.length;
        return ended > 0;
      }, 'it reads');
    });
    await streaming.until(async () => (await job(id)).state === 'done', 'it is done');
    expect(await streaming.rows(`select rows from tidegate_raw.jobs where id = ${id}`)).toEqual([[String(rows)]]);
    expect(streaming.run.find('retrying')).toBeUndefined();
  });

  test('a definition that changes while a table is read suspends only that table', async () => {
    const id = await whileItRuns('visit', async () => {
      await streaming.source.query(`alter table visit change column note remark varchar(40)`);
    });
    await streaming.until(async () => (await job(id)).state === 'failed', 'it has failed');
    expect((await job(id)).reason).toContain('the table was suspended: ');
    await streaming.caughtUp();
    expect((await runCli(['backfill', 'visit'], env())).code).toBe(0);
    expect(await streaming.differences()).toEqual([]);
  });

  test('a table without a key is suspended if a view prevents its new columns, and the others go on', async () => {
    await streaming.target.query('create view log_sizes as select size from log_line');
    await streaming.source.query('alter table log_line drop column size');
    await streaming.run.stop();
    streaming.follow(streaming.another([], { TABLES_REFRESH: 'log_*' }));
    await streaming.run.logged('streaming');
    expect(await streaming.tableState('log_line')).toMatchObject({ state: 'suspended' });
    await streaming.source.query(`insert into old_style values (9000, 'new')`);
    await streaming.caughtUp();
    expect(await streaming.rows('select note from old_style where id = 9000')).toEqual([['new']]);
    expect((await runCli(['backfill', 'log_line'], env())).stdout).toContain('a view or another object at the target');
    await streaming.target.query('drop view log_sizes');
    const { code, stdout, stderr } = await runCli(['backfill', 'log_line'], env());
    expect(code, stdout + stderr).toBe(0);
    expect(await streaming.tableState('log_line')).toMatchObject({ state: 'full-refresh' });
    expect(await streaming.rows('select note from log_line')).toEqual([['a'], ['a']]);
  });
});
