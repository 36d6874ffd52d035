import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Streaming } from '../stream/support/streaming.ts';
import { runCli } from '../../support/cli.ts';

/** More rows than are read or held at once. */
const invented = 300_000;

describe('jobs on more rows than can be held at once', () => {
  let streaming: Streaming;

  beforeAll(async () => {
    streaming = await Streaming.start(
      async (source) => {
        await source.query(`create table film (name varchar(20) not null primary key, bytes longblob)`);
        await source.query(`insert into film select concat('film ', seq), repeat('x', 3000000) from seq_1_to_12`);
        await source.query(`create table visit (id int not null primary key, note varchar(200))`);
        await source.query(`insert into visit values (0, 'first'), (${invented * 2}, 'last')`);
      },
      undefined,
      // This heap is too small for all the rows that only the target has.
      { NODE_OPTIONS: '--max-old-space-size=80' },
    );
  });
  afterAll(async () => await streaming?.end());

  test('look up wide rows by text keys', async () => {
    const before = await streaming.rowVersions('film');
    const verified = await runCli(['verify', 'film'], streaming.env);
    expect(verified.stdout).toContain('film: equal (12 rows');
    expect(verified.code).toBe(0);
    expect((await runCli(['backfill', 'film'], streaming.env)).stdout).toContain('12 rows read, 0 repaired');
    expect(await streaming.rowVersions('film')).toEqual(before);

    await streaming.target.query(`update film set name = 'nobody', bytes = '' where name = 'film 9'`);
    await streaming.target.query(`update film set bytes = 'damaged' where name > 'film 2'`);
    expect((await runCli(['backfill', 'film'], streaming.env)).code).toBe(0);
    expect(await streaming.differences()).toEqual([]);
  });

  test('delete rows that only the target has', async () => {
    await streaming.target.query(`insert into visit select n, repeat('x', 200) from generate_series(1, ${invented}) n`);
    const verified = await runCli(['verify', 'visit'], streaming.env);
    expect(verified.stdout).toContain(`visit: ${invented} extra`);
    const { code, stdout, stderr } = await runCli(['backfill', 'visit'], streaming.env);
    expect(code, stderr).toBe(0);
    expect(stdout).toContain(`2 rows read, ${invented} repaired`);
    expect(await streaming.differences()).toEqual([]);
  });
});
