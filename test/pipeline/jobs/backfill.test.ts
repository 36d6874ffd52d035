import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from '../../support/cli.ts';
import { Streaming } from '../stream/support/streaming.ts';

describe('while the service streams', () => {
  let streaming: Streaming;

  beforeAll(async () => {
    streaming = await Streaming.start(async (source) => {
      await source.query(
        `create table visit (id int not null primary key, note varchar(40), fee decimal(8,2), rate double, doc longtext)`,
      );
      await source.query(
        `insert into visit select seq, concat('visit ', seq), seq, 1.5, '{"a": 1.0}' from seq_1_to_5000`,
      );
      await source.query(
        `create table word (word varchar(20) not null, branch int not null, uses int, primary key (word, branch)) collate utf8mb4_general_ci`,
      );
      await source.query(`insert into word select concat('Wörd ', seq), seq % 3, seq from seq_1_to_900`);
      await source.query(`create table old_style (id int unsigned not null primary key, note text) engine=MyISAM`);
      await source.query(`insert into old_style select seq, 'x' from seq_1_to_3000`);
      await source.query(`create table empty_one (id int not null primary key)`);
    });
  });
  afterAll(async () => await streaming?.end());

  async function damage(): Promise<void> {
    const { target } = streaming;
    await target.query(`delete from visit where id in (7, 4999, 5000)`);
    await target.query(`update visit set note = 'other' where id in (1, 2500)`);
    await target.query(`update visit set rate = 0 where id = 3`);
    await target.query(`insert into visit (id, note) values (-5, 'nobody'), (6000, 'nobody')`);
    await target.query(`delete from word where uses = 5`);
    await target.query(`update word set uses = 0 where uses = 6`);
    await target.query(
      `insert into word (word, branch) values ('wörd 9', 0), ('Wörd 8 ', 2), ('nobody''s\tword \\', 1)`,
    );
    await target.query(`delete from old_style where id < 10`);
    await target.query(`insert into old_style values (70000, 'nobody')`);
    await target.query(`insert into empty_one values (1)`);
  }

  test('verify finds each difference, names its key unless it holds text, and repairs nothing', async () => {
    await streaming.caughtUp();
    await damage();
    const { code, stdout, stderr } = await runCli(['verify', '--json'], streaming.env);
    expect(code, stderr).toBe(1);
    const tables = new Map(
      (
        JSON.parse(stdout) as {
          tables: { table: string; counts: Record<string, number>; examples: { what: string; key: string | null }[] }[];
        }
      ).tables.map((table) => [table.table, table]),
    );
    expect(tables.get('visit')?.counts).toMatchObject({
      rows: 5000,
      missing: 3,
      different: 3,
      extra: 2,
      repaired: 0,
      changing: 0,
    });
    expect(tables.get('visit')?.examples).toContainEqual({ what: 'extra', key: '-5' });
    expect(tables.get('word')?.counts).toMatchObject({ rows: 900, missing: 1, different: 1, extra: 3 });
    expect(tables.get('word')?.examples.every(({ key }) => key === null)).toBe(true);
    expect(tables.get('old_style')?.counts).toMatchObject({ missing: 9, extra: 1, different: 0 });
    expect(tables.get('empty_one')?.counts).toMatchObject({ rows: 0, extra: 1 });
    expect(await streaming.rows(`select count(*) from visit where id in (7, -5)`)).toEqual([['1']]);
  });

  test('backfill repairs all differences in place, and writes only the rows that differ', async () => {
    const before = await streaming.rowVersions('visit');
    const { code, stdout, stderr } = await runCli(['backfill', '--all'], streaming.env);
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('visit: 5000 rows read, 8 repaired (3 were missing, 2 extra, 3 different)');
    expect(await streaming.differences()).toEqual([]);
    const after = await streaming.rowVersions('visit');
    expect({
      written: [...after].filter((row) => !before.has(row)).length,
      gone: [...before].filter((row) => !after.has(row)).length,
    }).toEqual({
      written: 6,
      gone: 5,
    });
    const verified = await runCli(['verify'], streaming.env);
    expect(verified.stdout).toContain('word: equal (900 rows');
    expect(verified.code, verified.stdout).toBe(0);
  });

  test('backfill writes no row of an equal table', async () => {
    const before = await streaming.rowVersions('visit');
    expect((await runCli(['backfill', 'visit'], streaming.env)).code).toBe(0);
    expect(await streaming.rowVersions('visit')).toEqual(before);
  });

  test('verify --repair repairs what it finds', async () => {
    await damage();
    const { code, stdout } = await runCli(['verify', '--repair'], streaming.env);
    expect(stdout).toContain('visit: 3 missing, 2 extra, 3 different; repaired');
    expect(code).toBe(0);
    expect(await streaming.differences()).toEqual([]);
  });

  test('--where repairs only the rows that meet the condition on either side', async () => {
    await damage();
    await streaming.target.query(`update visit set fee = 4000.5 where id = 42`);
    const { code, stdout, stderr } = await runCli(
      ['backfill', 'visit', '--where', 'fee >= 4000 or id = -5'],
      streaming.env,
    );
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('4 repaired (2 were missing, 1 extra, 1 different)');
    expect(
      await streaming.rows(
        `select id from visit where id in (7, -5, 6000, 42) and fee is distinct from 4000.5 order by id`,
      ),
    ).toEqual([['42'], ['6000']]);
    expect((await runCli(['backfill', 'word', '--where', `word like 'wörd 9%'`], streaming.env)).code).toBe(0);
    expect(await streaming.rows(`select count(*) from word where word = 'wörd 9'`)).toEqual([['0']]);
    expect((await runCli(['backfill', '--all'], streaming.env)).code).toBe(0);
    expect(await streaming.differences()).toEqual([]);
  });

  test('a command that waits for its jobs goes on when the target ends its session', async () => {
    expect((await runCli(['pause'], streaming.env)).code).toBe(0);
    const command = runCli(['verify', 'empty_one'], streaming.env);
    const ended = async () =>
      (
        await streaming.target.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'tidegate jobs'`,
        )
      ).rowCount;
    await streaming.until(async () => (await ended()) === 1, 'its session is ended');
    await streaming.until(async () => (await ended()) === 1, 'another session is ended, too');
    expect((await runCli(['resume'], streaming.env)).code).toBe(0);
    const { code, stdout, stderr } = await command;
    expect(code, stdout + stderr).toBe(0);
  });

  test('a condition that only the source understands fails the job with a reason', async () => {
    const { code, stdout } = await runCli(['backfill', 'visit', '--where', 'lower(id) = 1'], streaming.env);
    expect(code).toBe(1);
    expect(stdout).toContain('PostgreSQL cannot evaluate the condition (SQLSTATE 42883)');
  });

  test('names without a table keep no other from its job', async () => {
    for (const command of ['backfill', 'verify']) {
      const { code, stdout, stderr } = await runCli([command, 'nosuch', 'visit', 'nosuch2'], streaming.env);
      expect([code, stdout]).toEqual([1, expect.stringMatching(/^visit: /)]);
      expect(stderr).toContain('there is no replicated table nosuch, nosuch2');
    }
  });

  test('an impossible request is refused with one clear error', async () => {
    const refusals: [string[], string][] = [
      [['backfill', 'nosuch'], 'no replicated table nosuch'],
      [['backfill', 'visit', '--where', 'id in (select 1)'], 'the condition was refused'],
      [['backfill', 'visit', '--where', 'sleep(1) = 0'], 'the condition was refused'],
      [['backfill', 'visit', '--where', 'nosuch = 1'], 'the condition was refused'],
      [['backfill'], 'give the tables'],
      [['verify', 'nosuch'], '`tidegate backfill nosuch` adds a table that is new at the source'],
      [['jobs', 'cancel', '999999'], 'there is no job 999999'],
    ];
    for (const [args, message] of refusals) {
      const { code, stderr } = await runCli(args, streaming.env);
      expect(code, args.join(' ')).toBe(1);
      expect(stderr).toContain(message);
    }
  });
});
