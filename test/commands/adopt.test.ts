import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCli } from '../support/cli.ts';
import { Streaming } from '../pipeline/stream/support/streaming.ts';

let streaming: Streaming;
const tables = ['visit', 'fee', 'tide_mark'];

beforeAll(async () => {
  streaming = await Streaming.start(async (source) => {
    await source.query('create table visit (id int not null primary key, at datetime(3), note varchar(40))');
    await source.query(`insert into visit select seq, now(3), 'n' from seq_1_to_500`);
    await source.query('create table fee (id int not null primary key, amount decimal(10,2))');
    await source.query('insert into fee select seq, seq from seq_1_to_500');
  });
  await streaming.run.stop();
  // As after a restore from a dump: the same tables, each with another OID.
  for (const table of tables)
    await streaming.target.query(`
      alter table ${table} rename to dumped;
      create table ${table} (like dumped including all);
      alter table ${table} owner to ${streaming.env['TARGET_DB_USER']};
      insert into ${table} select * from dumped;
      drop table dumped`);
});
afterAll(async () => await streaming?.end());

test('after a restore, nothing is touched before `adopt`, and check names the command', async () => {
  const { code, stdout } = await runCli(['check'], streaming.env);
  expect(code).toBe(1);
  expect(stdout).toContain('that Tidegate did not make: fee, tide_mark, visit');
  expect(stdout).toContain('run `tidegate adopt`');
  const refused = await runCli(['adopt'], { ...streaming.env, ENVIRONMENT: 'production' });
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('this must be confirmed');
  expect((await runCli(['reset', '--yes'], { ...streaming.env, TARGET_DB_SCHEMA: 'other' })).code).toBe(0);
  expect(await streaming.rows('select count(*) from visit')).toEqual([['500']]);
});

test('a table with another owner or other columns is not adopted, and is named with the reason', async () => {
  await streaming.target.query(
    'alter table visit owner to current_user; alter table fee alter column amount type numeric(10,1)',
  );
  const { code, stderr } = await runCli(['adopt'], streaming.env);
  expect(code).toBe(1);
  expect(stderr).toContain('visit cannot be adopted: its owner is');
  expect(stderr).toContain('fee cannot be adopted: its column amount has another type: numeric(10,1)');
  await streaming.target.query(`alter table visit owner to ${streaming.env['TARGET_DB_USER']}`);
  await streaming.target.query('alter table fee alter column amount type numeric(10,2)');
});

test('adopted tables stream on from the checkpoint, without a read', async () => {
  await streaming.source.query('update visit set note = null where id < 10');
  const { code, stdout, stderr } = await runCli(['adopt', '--yes'], { ...streaming.env, ENVIRONMENT: 'production' });
  expect(code, stderr).toBe(0);
  expect(stdout).toContain('adopted 2 tables');
  await streaming.restart();
  await streaming.caughtUp();
  expect(await streaming.differences()).toEqual([]);
  expect(await streaming.rows('select count(*) from tidegate_raw.jobs')).toEqual([['0']]);
  expect((await runCli(['adopt'], streaming.env)).stdout).toContain('nothing to adopt');
});
