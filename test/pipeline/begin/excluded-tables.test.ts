import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Streaming } from '../stream/support/streaming.ts';
import { runCli } from '../../support/cli.ts';

interface PrintedLag {
  readonly suspendedTables: readonly { readonly table: string; readonly remedy: string }[];
  readonly verifications: readonly { readonly table: string; readonly isEqual: boolean }[];
}

describe('tables that are not selected any more', () => {
  let streaming: Streaming;
  const without = { TABLES_EXCLUDE: 'gone,changed,fee' };

  beforeAll(async () => {
    streaming = await Streaming.start(async (source) => {
      for (const table of ['kept', 'gone', 'changed', 'fee']) {
        await source.query(`create table ${table} (id int not null primary key, v int)`);
        await source.query(`insert into ${table} select seq, seq from seq_1_to_100`);
      }
    });
    await streaming.holdSuspended();
    await streaming.source.query('drop table gone');
    await streaming.source.query('alter table changed add column w int');
    await streaming.source.query('insert into changed values (101, 1, 1)');
    for (const table of ['gone', 'changed'])
      await streaming.until(async () => (await stateOf(table)) === 'suspended', `${table} is suspended`);
    await streaming.target.query('delete from fee where id < 10');
    expect((await runCli(['verify', 'fee'], streaming.env)).code).toBe(1);
  });
  afterAll(async () => await streaming?.end());

  async function stateOf(table: string): Promise<string | undefined> {
    return (await streaming.tableState(table)).state;
  }

  async function lag(env: Readonly<Record<string, string>> = {}): Promise<PrintedLag> {
    return JSON.parse((await runCli(['lag', '--json'], { ...streaming.env, ...env })).stdout) as PrintedLag;
  }

  async function runAgain(env: Readonly<Record<string, string>>): Promise<void> {
    await streaming.run.stop();
    streaming.follow(streaming.another([], env));
    await streaming.run.logged('streaming');
  }

  test('are the remedy that is recommended for a table that was dropped at the source', async () => {
    const { suspendedTables, verifications } = await lag();
    expect(suspendedTables.map(({ table }) => table)).toEqual(['changed', 'gone']);
    expect(suspendedTables[1]?.remedy).toContain('if it is meant to be gone, add it to TABLES_EXCLUDE and restart');
    expect(verifications).toMatchObject([{ table: 'fee', isEqual: false }]);
    const { code, stdout } = await runCli(['backfill', 'gone'], streaming.env);
    expect(code).toBe(1);
    expect(stdout).toContain('if it is meant to be gone, add it to TABLES_EXCLUDE and restart');
  });

  test('are excluded at the next start: they keep their rows, and nothing about them is reported as an alarm', async () => {
    await runAgain(without);
    for (const table of ['gone', 'changed', 'fee']) expect(await stateOf(table)).toBe('excluded');
    await streaming.source.query('update fee set v = 0');
    await streaming.caughtUp();
    expect(await streaming.rows('select count(*) from gone')).toEqual([['100']]);
    expect(await streaming.rows('select count(*), min(v) from fee')).toEqual([['91', '10']]);
    expect(await lag(without)).toMatchObject({ suspendedTables: [], verifications: [] });
    const env = { ...streaming.env, ...without };
    expect((await runCli(['check'], env)).stdout).not.toMatch(/suspended|excluded/);
    expect((await runCli(['verify'], env)).code).toBe(0);
    expect((await runCli(['verify', 'fee'], env)).stdout).toContain('the table is excluded: TABLES_INCLUDE');
    expect((await runCli(['backfill', 'fee'], env)).stdout).toContain('TABLES_EXCLUDE do not select it');
    expect(await stateOf('fee')).toBe('excluded');
    expect(
      await streaming.rows(
        `select distinct detail->>'table' from tidegate_raw.events where kind = 'table-excluded' order by 1`,
      ),
    ).toEqual([['changed'], ['fee'], ['gone']]);
  });

  test('are read and stream again when they are selected again', async () => {
    await runAgain({});
    for (const table of ['changed', 'fee'])
      await streaming.until(async () => (await stateOf(table)) === 'streaming', `${table} streams`);
    await streaming.source.query('update fee set v = 5 where id = 5');
    await streaming.caughtUp();
    expect(await streaming.differences()).toEqual([]);
    // The source no longer has this table, so it stays excluded.
    expect(await stateOf('gone')).toBe('excluded');
    expect((await lag()).suspendedTables).toEqual([]);
    expect((await runCli(['verify'], streaming.env)).code).toBe(0);
  });

  test('are also excluded by resync, which runs without them', async () => {
    await streaming.run.stop();
    const { code, stdout, stderr } = await runCli(['resync', '--yes'], { ...streaming.env, TABLES_EXCLUDE: 'fee' });
    expect(code, stdout + stderr).toBe(0);
    expect(stderr).toMatch(/this makes 3 tables .*changed, kept, tide_mark/);
    expect(await stateOf('fee')).toBe('excluded');
    expect(await stateOf('changed')).toBe('streaming');
  });
});
