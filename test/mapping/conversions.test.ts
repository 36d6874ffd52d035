import type { Connection } from 'mysql2/promise';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createReplica, type Replica } from '../../testing/replica.ts';
import { RunProcess } from '../../testing/run-process.ts';
import { runCli } from '../support/cli.ts';
import { sequence } from '../support/sequence.ts';
import { sharedServers } from '../support/shared-servers.ts';

/** More rows than the first chunks of a snapshot. */
const rows = 6_000;

let replica: Replica;
let source: Connection;

beforeAll(async () => {
  const servers = sharedServers();
  replica = await createReplica(servers.source, servers.target);
  source = await replica.sourceAdmin();
  await source.query(`set sql_mode = ''`);
  await source.query('create table t (id int primary key, d date, note varchar(50), born date) engine=InnoDB');
  await insert(1, rows);
});

afterAll(async () => {
  source?.destroy();
  await replica?.drop();
});

/** Each row has one invalid date, two characters that PostgreSQL cannot hold, and one date that a rule makes NULL. */
async function insert(first: number, last: number): Promise<void> {
  await source.query(
    `insert into t select seq, '2024-00-00', concat('a', char(0), 'b', char(0)), '0001-01-01' from ${sequence(first, last)} order by seq`,
  );
}

const env = () => ({ ...replica.env, COLUMN_RULES: 't.born=null=0001-01-01' });

async function run(): Promise<void> {
  await new RunProcess(env(), ['--until-caught-up']).succeeded();
}

async function dieAt(failpoint: string): Promise<void> {
  const program = new RunProcess({ ...env(), TIDEGATE_FAILPOINT: failpoint }, ['--until-caught-up']);
  expect(await program.exited).toMatchObject({ signal: 'SIGKILL' });
}

async function expectCounted(values: number): Promise<void> {
  const { rows: counted } = await replica.targetAdmin.query(
    'select column_name as column, kind, count::int from tidegate_raw.conversions order by 1',
  );
  expect(counted).toEqual([
    { column: 'born', kind: 'sentinel-to-null', count: values },
    { column: 'd', kind: 'date-to-null', count: values },
    { column: 'note', kind: 'nul-replaced', count: values * 2 },
  ]);
}

test('a value is counted once, at whatever point snapshot and stream are killed', async () => {
  for (const failpoint of ['chunk-copied:2', 'chunk-committed:1', 'chunk-copied:1']) await dieAt(failpoint);
  await run();
  await expectCounted(rows);
  for (let part = 0; part < 5; part++) await insert(rows + part * 100 + 1, rows + part * 100 + 100);
  for (const failpoint of ['batch-applied', 'checkpoint-written', 'committed']) await dieAt(failpoint);
  await run();
  await expectCounted(rows + 500);
});

test('a job counts only the rows that it writes, not the equal ones', async () => {
  await replica.targetAdmin.query('delete from raw.t where id % 1000 = 7');
  await replica.targetAdmin.query(`update raw.t set note = 'wrong' where id = 1`);
  const before = rows + 500;
  const written = Math.ceil((before - 6) / 1000) + 1;
  expect(await runCli(['backfill', 't'], env())).toMatchObject({ code: 0 });
  await expectCounted(before + written);
  expect(await runCli(['verify', '--repair', 't'], env())).toMatchObject({ code: 0 });
  await expectCounted(before + written);
});

test('check and lag report the conversions', async () => {
  const check = await runCli(['check'], env());
  expect(check.stdout).toMatch(/table t: column born: 6508 dates that mean no date by COLUMN_RULES became NULL/);
  const lag = await runCli(['lag', '--json'], env());
  const { conversions } = JSON.parse(lag.stdout) as { conversions: unknown[] };
  expect(conversions).toContainEqual(expect.objectContaining({ table: 't', column: 'd', kind: 'date-to-null' }));
});
