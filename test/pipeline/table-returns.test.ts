import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from '../support/cli.ts';
import { Streaming } from './stream/support/streaming.ts';

interface Told {
  readonly table: string;
  readonly reason: string;
  readonly remedy: string;
  readonly retryAt: string | null;
}

describe('a table that one thing stops', () => {
  let streaming: Streaming;
  const tables = [
    'altered',
    'locked',
    'owned',
    'hidden',
    'narrowed',
    'retyped',
    'shrunk',
    'keyless',
    'dropped',
    'back',
    'busy',
  ];

  beforeAll(async () => {
    streaming = await Streaming.start(async (source) => {
      for (const table of tables) {
        await source.query(`create table ${table} (id int not null primary key, name varchar(40))`);
        await source.query(`insert into ${table} select seq, concat('name ', seq) from seq_1_to_2000`);
      }
    });
  });
  afterAll(async () => await streaming?.end());

  const becomes = async (table: string, state: string) =>
    await streaming.until(async () => (await streaming.tableState(table)).state === state, `${table} is ${state}`);
  /** Lets the pauses of suspended tables end now. */
  const endPauses = async () =>
    await streaming.target.query('update tidegate_raw.tables set retry_at = now() where retry_at is not null');
  const streams = async (table: string) => {
    await streaming.until(async () => {
      await endPauses();
      return (await streaming.tableState(table)).state === 'streaming';
    }, `${table} streams`);
    await streaming.caughtUp();
    expect(await streaming.differences()).toEqual([]);
  };
  const told = async (table: string) => {
    let report: { state: string; suspendedTables: Told[] } | undefined;
    // On a busy machine, `lag` may give up before it knows.
    await expect
      .poll(async () => {
        report = JSON.parse((await runCli(['lag', '--json'], streaming.env)).stdout) as typeof report;
        return report?.state;
      })
      .not.toBe('unknown');
    return report?.suspendedTables.find((one) => one.table === table);
  };
  /** The other tables go on. */
  const othersGoOn = async () => {
    await streaming.source.query(`update busy set name = concat(name, '.') where id < 100`);
    await streaming.caughtUp();
  };

  test('returns by itself with its new definition after an ALTER, and says when', async () => {
    await streaming.source.query('alter table altered add column w int default 3');
    await becomes('altered', 'suspended');
    await streaming.source.query(`update altered set w = 4 where id < 10`);
    await becomes('altered', 'streaming');
    await streaming.caughtUp();
    expect(await streaming.differences()).toEqual([]);
    expect(
      await streaming.rows(`select requested_by, state from tidegate_raw.jobs where table_name = 'altered'`),
    ).toEqual([['table life', 'done']]);
    // It must not return before `lag` has told when.
    await streaming.holdSuspended();
    await streaming.source.query('alter table altered add column x int');
    await becomes('altered', 'suspended');
    const { retryAt, remedy } = (await told('altered')) ?? {};
    expect(remedy ?? '').toContain(`it returns by itself, next try at ${retryAt}`);
    await streaming.releaseSuspended();
    await streams('altered');
  });

  test('is locked by another session: it alone waits, and returns when the lock is gone', async () => {
    const session = await streaming.newTargetSession();
    await session.query('begin; lock table locked in access exclusive mode');
    await streaming.source.query(`update locked set name = 'new' where id < 10`);
    await othersGoOn();
    expect(await streaming.tableState('locked')).toEqual({
      state: 'suspended',
      reason: 'another session at the target holds a lock on it',
    });
    await session.query('rollback');
    await session.end();
    await streams('locked');
  });

  test('has another owner: it alone waits, check names it, and it returns with the rights', async () => {
    await streaming.target.query('alter table owned owner to current_user');
    await streaming.source.query(`update owned set name = 'new' where id < 10`);
    await othersGoOn();
    expect(await streaming.tableState('owned')).toEqual({
      state: 'suspended',
      reason: 'the target role may not select, insert, update, delete its rows at the target',
    });
    const { code, stdout } = await runCli(['check'], streaming.env);
    expect(code).toBe(0);
    expect(stdout).toMatch(/warning +table owned: .*the target role may not select/);
    // A restart is not refused either.
    await streaming.restart();
    await othersGoOn();
    await streaming.target.query(`alter table owned owner to ${streaming.env['TARGET_DB_USER']}`);
    await streams('owned');
  });

  test('has row level security: no row stays in silence', async () => {
    await streaming.target.query(
      'alter table hidden enable row level security; alter table hidden force row level security',
    );
    await streaming.source.query(`delete from hidden where id < 10`);
    await othersGoOn();
    expect((await streaming.tableState('hidden')).reason).toContain('row level security at the target hides its rows');
    await streaming.target.query(
      'alter table hidden disable row level security; alter table hidden no force row level security',
    );
    await streams('hidden');
  });

  test('has a column narrowed by hand: a backfill makes it right, and it returns by itself where nothing fits', async () => {
    await streaming.target.query('alter table narrowed alter column name type varchar(4) using left(name, 4)');
    const { code, stdout } = await runCli(['backfill', 'narrowed'], streaming.env);
    expect(code, stdout).toBe(0);
    expect(await streaming.differences()).toEqual([]);
    await streaming.target.query('alter table retyped alter column name type int using 1');
    await streaming.source.query(`update retyped set name = 'new' where id < 10`);
    await becomes('retyped', 'suspended');
    await streams('retyped');
  });

  test('has lost more rows than the limit at the source: it waits for a decision, in every environment', async () => {
    await streaming.source.query('alter table shrunk add column w int');
    await becomes('shrunk', 'suspended');
    await streaming.source.query('delete from shrunk where id > 100');
    await endPauses();
    await streaming.until(async () => (await told('shrunk'))?.retryAt === null, 'shrunk waits for a decision');
    expect((await told('shrunk'))?.remedy).toContain('run tidegate backfill shrunk --yes');
    expect(await streaming.rows('select count(*) from shrunk')).toEqual([['2000']]);
    const { code, stdout } = await runCli(['backfill', 'shrunk', '--yes'], streaming.env);
    expect(code, stdout).toBe(0);
    await becomes('shrunk', 'streaming');
    expect(await streaming.differences()).toEqual([]);
  });

  test('has lost its key, or is gone: that is told once, and nothing is tried again', async () => {
    await streaming.source.query('alter table keyless drop primary key');
    await streaming.source.query('drop table dropped');
    for (const table of ['keyless', 'dropped']) await becomes(table, 'suspended');
    await endPauses();
    await becomes('dropped', 'gone');
    expect(await told('dropped')).toBeUndefined();
    await streaming.logged('table gone: the source dropped it', (line) => line['table'] === 'dropped');
    expect(await streaming.rows('select count(*) from dropped')).toEqual([['2000']]);
    const waiting = await told('keyless');
    expect(waiting?.reason).toContain('it has no primary key');
    expect(waiting?.retryAt).toBeNull();
    expect(waiting?.remedy).toContain('correct what the reason names, then run tidegate backfill keyless');
    await streaming.restart();
    expect(
      await streaming.rows(
        `select detail ->> 'table', kind, count(*) from tidegate_raw.events
          where kind = 'table-gone' or detail ->> 'reason' like '%no primary key%' and kind = 'table-suspended' group by 1, 2 order by 1`,
      ),
    ).toEqual([
      ['dropped', 'table-gone', '1'],
      ['keyless', 'table-suspended', '1'],
    ]);
    await streaming.source.query('alter table keyless add primary key (id)');
    expect((await runCli(['backfill', 'keyless'], streaming.env)).code).toBe(0);
    expect(await streaming.differences()).toEqual([]);
  });

  test('is new or back at the source: it is taken in without a restart', async () => {
    await streaming.source.query('drop table back');
    await becomes('back', 'suspended');
    await endPauses();
    await becomes('back', 'gone');
    for (const table of ['back', 'fresh']) {
      await streaming.source.query(`create table ${table} (id int not null primary key, name varchar(40))`);
      await streaming.source.query(`insert into ${table} select seq, 'new' from seq_1_to_1900`);
    }
    await streaming.until(
      async () =>
        (await streaming.tableState('back')).state === 'streaming' &&
        (await streaming.tableState('fresh')).state === 'streaming',
      'both stream',
    );
    await streaming.caughtUp();
    expect(await streaming.differences()).toEqual([]);
    await streaming.logged('tables added', (line) => String(line['tables']) === 'fresh');
  });
});
