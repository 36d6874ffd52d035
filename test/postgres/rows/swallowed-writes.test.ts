import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from '../../support/cli.ts';
import { sequence } from '../../support/sequence.ts';
import { Streaming } from '../../pipeline/stream/support/streaming.ts';

const tables = ['few', 'many', 'changed', 'removed', 'emptied', 'ruled', 'kept', 'missed', 'verified', 'sound'];
const skip = (event: string, table: string) =>
  `create trigger "skip it" before ${event} on ${table} for each row execute function skip()`;

let streaming: Streaming;

beforeAll(async () => {
  streaming = await Streaming.start(async (source) => {
    for (const table of tables) {
      await source.query(`create table ${table} (id int not null primary key, note varchar(40))`);
      await source.query(`insert into ${table} select seq, 'old' from ${sequence(1, 5)}`);
    }
  });
  await streaming.target.query(`create function skip() returns trigger language plpgsql as 'begin return null; end'`);
});

afterAll(async () => {
  await streaming?.end();
});

async function sources(...statements: readonly string[]): Promise<void> {
  for (const statement of statements) await streaming.source.query(statement);
}

/** Waits until the table is suspended. Returns the reason. */
async function suspended(table: string): Promise<string> {
  await streaming.until(async () => (await streaming.tableState(table)).state === 'suspended', `${table} is suspended`);
  return (await streaming.tableState(table)).reason ?? '';
}

describe('a table whose target swallows writes is suspended by name, and the others continue', () => {
  test.each([
    ['few', 'insert', `insert into few values (6, 'new'), (7, 'new')`, 'accepted 2 and wrote 0'],
    ['many', 'insert', `insert into many select seq, 'new' from ${sequence(6, 3_000)}`, 'accepted 2995 and wrote 0'],
    ['changed', 'update', `update changed set note = 'new'`, 'accepted 5 and wrote 0'],
    ['removed', 'delete', `delete from removed where id < 3`, 'keeps rows that were deleted'],
    ['emptied', 'delete', `truncate table emptied`, 'keeps rows that were deleted'],
  ])('%s: a trigger before %s', async (table, event, statement, found) => {
    await streaming.target.query(skip(event, table));
    await sources(statement, `update sound set note = '${table}' where id = 1`);
    const reason = await suspended(table);
    expect(reason).toContain(`table ${table}: trigger "skip it" at the target`);
    expect(reason).toContain(found);
    await streaming.caughtUp();
    expect(await streaming.rows('select note from sound where id = 1')).toEqual([[table]]);
    expect(await streaming.tableState('sound')).toMatchObject({ state: 'streaming' });
  });

  test('ruled: a rule that deletes nothing', async () => {
    await streaming.target.query('create rule keep_all as on delete to ruled do instead nothing');
    await sources('delete from ruled where id = 1');
    expect(await suspended('ruled')).toContain('rule keep_all at the target keeps rows that were deleted');
  });

  test('kept: a rule for updates, with which PostgreSQL refuses the write itself', async () => {
    await streaming.target.query('create rule keep_out as on update to kept do instead nothing');
    await sources(`update kept set note = 'new'`);
    expect(await suspended('kept')).toContain('rule');
    await streaming.caughtUp();
  });

  test('missed: a row that is not at the target any more is deleted without a complaint', async () => {
    await streaming.target.query('delete from missed where id = 2');
    await sources('delete from missed where id in (2, 3)', 'delete from sound where id = 5');
    await streaming.caughtUp();
    expect(await streaming.tableState('missed')).toMatchObject({ state: 'streaming' });
    expect(await streaming.rows('select id from missed order by id')).toEqual([['1'], ['4'], ['5']]);
  });
});

test('verify --repair never reports equal for rows that the target swallows', async () => {
  await streaming.target.query('delete from verified where id = 3');
  await streaming.target.query(skip('insert', 'verified'));
  const { code, stdout } = await runCli(['verify', '--repair', 'verified'], streaming.env);
  expect(code).toBe(1);
  expect(stdout).toContain('trigger "skip it" at the target swallows rows');
  expect(stdout).not.toMatch(/equal|repaired/);
  const lag = JSON.parse((await runCli(['lag', '--json'], streaming.env)).stdout) as {
    verifications: { table: string; isEqual: boolean }[];
    suspendedTables: { table: string }[];
  };
  expect(lag.verifications.find(({ table }) => table === 'verified')?.isEqual ?? false).toBe(false);
  expect(lag.suspendedTables.map(({ table }) => table)).toContain('verified');
});

test('a backfill fails for the same reason, and repairs the table once the trigger is gone', async () => {
  const failed = await runCli(['backfill', 'few'], streaming.env);
  expect(failed.code).toBe(1);
  expect(failed.stdout).toContain('trigger "skip it" at the target swallows rows');
  await streaming.target.query('drop trigger "skip it" on few');
  const { code, stdout, stderr } = await runCli(['backfill', 'few'], streaming.env);
  expect(code, stderr).toBe(0);
  expect(stdout).toContain('2 were missing');
  await streaming.caughtUp();
  expect((await streaming.differences()).filter((line) => line.startsWith('few'))).toEqual([]);
});
