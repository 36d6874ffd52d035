import { createReplica, type Replica } from '../testing/replica.ts';
import { SeededRandom } from '../testing/random/seeded-random.ts';
import type { BenchContext } from './context.ts';
import { beatThroughout } from './latency.ts';
import { insertMeasuredRows, measuredTableDdl } from './measured-table.ts';
import { MeasuredRun } from './measured-run.ts';
import { type BenchResult, formatRate, rate } from './report.ts';
import { median, quantile } from './statistics.ts';

const speedBar = 0.7;
const lagBarMs = 1_000;
const planted = 1_000;

/**
 * Compares `verify` of a large table with its snapshot in the same run, with differences planted among its rows. Also measures
 * the delay of the stream during a backfill of all rows.
 */
export async function verify(context: BenchContext): Promise<BenchResult> {
  const { source, target, quick, say } = context;
  const rows = quick ? 300_000 : 1_000_000;
  const replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  let run: MeasuredRun | null = null;
  try {
    await admin.query(measuredTableDdl('treatment'));
    await admin.query('create table beat (id bigint not null primary key, note varchar(80) not null) engine=InnoDB');
    say(`verify: filling ${rows} rows`);
    await insertMeasuredRows(admin, 'treatment', 1, rows, 10_000);
    run = new MeasuredRun(replica.env);
    await run.logged('streaming', undefined, 600_000);
    const snapshotMs = run.loggedAt('snapshot finished') - run.loggedAt('snapshot started');
    await replica.targetAdmin.query(`analyze raw.treatment`);
    const verifyMs: number[] = [];
    for (let round = 0; round < (quick ? 1 : 3); round++) verifyMs.push((await job(replica, 'verify', false)).ms);
    say(`verify: snapshot ${snapshotMs} ms, verify ${verifyMs.map((ms) => Math.round(ms)).join(', ')} ms`);
    const ratio = snapshotMs / median(verifyMs);

    const before = await written(replica);
    const equal = await job(replica, 'backfill', true);
    const churn = (await written(replica)) - before;
    say(`verify: backfill of the equal table ${Math.round(equal.ms)} ms, ${churn} rows written`);

    await plant(replica, rows);
    const found = await job(replica, 'verify', false);
    const repair = await job(replica, 'verify', true);
    const after = await job(replica, 'verify', false);
    say(`verify: found ${found.differences}, repaired ${repair.repaired}, left ${after.differences}`);

    const idle = await beatThroughout(
      replica,
      admin,
      async () => await new Promise((resolve) => setTimeout(resolve, 10_000)),
      0,
    );
    await replica.targetAdmin.query(`delete from raw.treatment`);
    let backfillMs = 0;
    const lateness = await beatThroughout(
      replica,
      admin,
      async () => {
        backfillMs = (await job(replica, 'backfill', true)).ms;
      },
      idle.length,
    );
    const p99 = quantile(lateness, 0.99);
    say(
      `verify: backfill of all rows ${Math.round(backfillMs)} ms; stream p50 ${median(lateness).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`,
    );
    await run.stop();
    return {
      lines: [
        { bench: 'verify', what: `snapshot of ${rows} rows`, value: formatRate(rate(rows, snapshotMs)) },
        { bench: 'verify', what: 'verify', value: formatRate(rate(rows, median(verifyMs))) },
        {
          bench: 'verify',
          what: 'verify / snapshot',
          value: `${ratio.toFixed(2)} x`,
          bar: `>= ${speedBar} x`,
          met: ratio >= speedBar,
        },
        {
          bench: 'verify',
          what: 'rows written by a backfill of an equal table',
          value: String(churn),
          bar: '0',
          met: churn === 0,
        },
        {
          bench: 'verify',
          what: 'differences planted, found, repaired, left',
          value: `${planted}, ${found.differences}, ${repair.repaired}, ${after.differences}`,
          bar: `${planted}, ${planted}, ${planted}, 0`,
          met: found.differences === planted && repair.repaired === planted && after.differences === 0,
        },
        { bench: 'verify', what: 'backfill of every row', value: formatRate(rate(rows, backfillMs)) },
        {
          bench: 'verify',
          what: 'stream, commit to visible, p99 alone',
          value: `${quantile(idle, 0.99).toFixed(1)} ms`,
        },
        {
          bench: 'verify',
          what: 'stream, commit to visible, p99 / longest during a backfill',
          value: `${p99.toFixed(1)} / ${quantile(lateness, 1).toFixed(1)} ms`,
          bar: `p99 <= ${lagBarMs} ms`,
          met: p99 <= lagBarMs,
        },
      ],
      figures: {
        rows,
        snapshotMs,
        verifyMs,
        ratio,
        churn,
        found,
        repair,
        after,
        backfillMs,
        p99,
        idleP99: quantile(idle, 0.99),
      },
    };
  } finally {
    await run?.kill();
    await admin.end();
    await replica.drop();
  }
}

interface Outcome {
  /** From the start of the job to its end, by PostgreSQL's clock. */
  readonly ms: number;
  readonly differences: number;
  readonly repaired: number;
}

/** Requests a job as the commands do, and waits for its end. */
async function job({ targetAdmin }: Replica, kind: 'backfill' | 'verify', repair: boolean): Promise<Outcome> {
  const { rows: requested } = await targetAdmin.query<{ id: string }>(
    `insert into tidegate_raw.jobs (table_name, kind, repair, confirmed, state, requested_by)
     values ('treatment', $1, $2, true, 'waiting', 'bench') returning id`,
    [kind, repair],
  );
  for (;;) {
    const { rows } = await targetAdmin.query<{
      state: string;
      reason: string | null;
      ms: number;
      differences: string;
      repaired: string;
    }>(
      `select state, reason, extract(epoch from finished_at - started_at)::float8 * 1000 as ms,
              missing + extra + different as differences, repaired from tidegate_raw.jobs where id = $1`,
      [requested[0]?.id],
    );
    const [found] = rows;
    if (found?.state === 'done')
      return { ms: found.ms, differences: Number(found.differences), repaired: Number(found.repaired) };
    if (found?.state === 'failed') throw new Error(`the ${kind} failed: ${found.reason}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function written({ targetAdmin }: Replica): Promise<number> {
  await targetAdmin.query('select pg_stat_force_next_flush()').catch(() => undefined);
  // PostgreSQL 14 and older, and the service's own sessions, report a second late.
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const { rows } = await targetAdmin.query<{ n: string }>(
    `select n_tup_ins + n_tup_upd + n_tup_del as n from pg_stat_user_tables where schemaname = 'raw' and relname = 'treatment'`,
  );
  return Number(rows[0]?.n);
}

/** A third of the differences are lost rows, a third invented rows, a third rows with one changed byte. */
async function plant({ targetAdmin }: Replica, rows: number): Promise<void> {
  const random = new SeededRandom(7);
  const ids = new Set<number>();
  while (ids.size < planted) ids.add(random.int(1, rows));
  const all = [...ids];
  const third = Math.floor(planted / 3);
  await targetAdmin.query('delete from raw.treatment where id = any($1)', [all.slice(0, third)]);
  await targetAdmin.query(
    `insert into raw.treatment (id, note) select i + ${rows * 2}, 'nobody' from unnest($1::bigint[]) i`,
    [all.slice(third, third * 2)],
  );
  await targetAdmin.query(
    `update raw.treatment set memo = overlay(memo placing '#' from 1 + (id % length(memo))::int for 1) where id = any($1)`,
    [all.slice(third * 2)],
  );
}
