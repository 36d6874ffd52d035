import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchContext } from './context.ts';
import { insertMeasuredRows, measuredTableDdl } from './measured-table.ts';
import { MeasuredRun } from './measured-run.ts';
import { type BenchResult, formatRate, rate } from './report.ts';
import { createReplica, type Replica } from '../testing/replica.ts';

const barBytes = 250 * 1_000_000;

/**
 * Writes one transaction of a million rows while the replica streams. A reader of the target may see none or all of them, and the
 * process must stay small. A second transaction updates every row, so it contains each row twice.
 */
export async function hugeTransaction(context: BenchContext): Promise<BenchResult> {
  const { source, target, quick, say } = context;
  const rows = quick ? 300_000 : 1_000_000;
  const replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  const run = new MeasuredRun(replica.env);
  try {
    await admin.query(measuredTableDdl('treatment'));
    await run.logged('streaming');
    say(`huge-transaction: inserting ${rows} rows in one transaction`);
    const inserted = watchUntil(replica, `select count(*)::int as seen from "${replica.schema}".treatment`, rows);
    await insertMeasuredRows(admin, 'treatment', 1, rows, rows);
    const insertCommittedAt = performance.now();
    const insert = await inserted;
    say(`huge-transaction: updating ${rows} rows in one transaction`);
    const updated = watchUntil(
      replica,
      `select count(*)::int as seen from "${replica.schema}".treatment where status >= 100`,
      rows,
    );
    await admin.query('update treatment set status = status + 100');
    const updateCommittedAt = performance.now();
    const update = await updated;
    await run.stop();
    const partial = insert.partial.length + update.partial.length;
    const insertMs = insert.completeAt - insertCommittedAt;
    const updateMs = update.completeAt - updateCommittedAt;
    const megabytes = run.peakBytes / 1_000_000;
    return {
      lines: [
        {
          bench: 'huge-transaction',
          what: `${rows} rows inserted, updated: partial states seen in ${insert.polls + update.polls} looks`,
          value: String(partial),
          bar: '0',
          met: partial === 0,
        },
        {
          bench: 'huge-transaction',
          what: 'insert: commit to visible',
          value: `${(insertMs / 1_000).toFixed(1)} s, ${formatRate(rate(rows, insertMs))}`,
        },
        {
          bench: 'huge-transaction',
          what: 'update: commit to visible',
          value: `${(updateMs / 1_000).toFixed(1)} s, ${formatRate(rate(rows, updateMs))}`,
        },
        {
          bench: 'huge-transaction',
          what: 'peak resident memory of tidegate',
          value: `${megabytes.toFixed(0)} MB`,
          bar: `<= ${barBytes / 1_000_000} MB`,
          met: run.peakBytes <= barBytes,
        },
      ],
      figures: { rows, insertMs, updateMs, partial, polls: insert.polls + update.polls, peakBytes: run.peakBytes },
    };
  } finally {
    await run.kill();
    await admin.end();
    await replica.drop();
  }
}

interface Watched {
  readonly polls: number;
  /** Counts that were neither none nor all. */
  readonly partial: readonly number[];
  readonly completeAt: number;
}

async function watchUntil(replica: Replica, countRows: string, all: number): Promise<Watched> {
  const partial: number[] = [];
  let polls = 0;
  for (const deadline = Date.now() + 600_000; Date.now() < deadline; polls++) {
    const { rows } = await replica.targetAdmin.query<{ seen: number }>(countRows);
    const seen = rows[0]?.seen ?? 0;
    if (seen === all) return { polls, partial, completeAt: performance.now() };
    if (seen !== 0) partial.push(seen);
    await sleep(100);
  }
  throw new Error(`the transaction did not arrive; ${polls} looks`);
}
