import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchContext } from './context.ts';
import { insertMeasuredRows, measuredTableDdl } from './measured-table.ts';
import { MeasuredRun } from './measured-run.ts';
import type { BenchResult } from './report.ts';
import { limitMemory } from '../testing/memory-limit.ts';
import { createReplica } from '../testing/replica.ts';

const megabytes = 256;
const rowMegabytes = 60;

/**
 * A service in 256 MB, as docs/operations.md sets it up: it copies a million rows, applies a transaction that updates them all, and meets rows
 * that are larger than its memory allows, by snapshot and by stream.
 */
export async function smallMemory({ source, target, quick, say }: BenchContext): Promise<BenchResult> {
  const rows = quick ? 100_000 : 1_000_000;
  const limit = await limitMemory(megabytes);
  if (limit === null) throw new Error('this system allows no limit on memory');
  const replica = await createReplica(source, target);
  await using setup = new AsyncDisposableStack();
  setup.defer(async () => await replica.drop());
  const root = await replica.sourceAdmin();
  await root.query('set global max_allowed_packet = 536870912');
  await root.end();
  const admin = await replica.sourceAdmin();
  setup.defer(async () => await admin.end());
  const largeRow = async (id: number) =>
    await admin.query(`insert into scan values (${id}, repeat('x', ${rowMegabytes}000000)), (${id + 1}, 'x')`);
  await admin.query(measuredTableDdl('treatment'));
  await insertMeasuredRows(admin, 'treatment', 1, rows, 10_000);
  await admin.query('create table scan (id int not null primary key, image longblob)');
  await largeRow(1);
  const env = { ...replica.env, NODE_OPTIONS: '--max-old-space-size=160' };
  const run = new MeasuredRun(env, [], { launcher: limit.launcher });
  try {
    const count = async (query: string) => Number((await replica.targetAdmin.query<{ n: string }>(query)).rows[0]?.n);
    const reached = async (query: string, n: number) => {
      for (; (await count(query)) !== n; await sleep(100))
        if (!run.running) throw new Error(`it ended:\n${run.tail()}`);
    };
    await run.logged('streaming');
    say(`small-memory: ${rows} rows copied, peak ${format(run.peakBytes)}`);
    await admin.query('update treatment set status = status + 100');
    await reached(`select count(*) as n from "${replica.schema}".treatment where status >= 100`, rows);
    say(`small-memory: updated in one transaction, peak ${format(run.peakBytes)}`);
    for (const id of [3, 5, 7]) await largeRow(id);
    await reached(`select count(*) as n from "${replica.schema}".scan`, 4);
    const deadLetters = await count(`select count(*) as n from "tidegate_${replica.schema}".dead_letters`);
    await run.stop();
    const kills = await limit.kills();
    return {
      lines: [
        {
          bench: 'small-memory',
          what: `${rows} rows copied, updated in one transaction; 4 rows of ${rowMegabytes} MB: dead letters, ends`,
          value: `${deadLetters}, ${kills}`,
          bar: '4, 0',
          met: deadLetters === 4 && kills === 0,
        },
        { bench: 'small-memory', what: `peak resident memory within ${megabytes} MB`, value: format(run.peakBytes) },
      ],
      figures: { rows, deadLetters, kills, peakBytes: run.peakBytes },
    };
  } finally {
    await run.kill();
    await limit.remove();
  }
}

function format(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(0)} MB`;
}
