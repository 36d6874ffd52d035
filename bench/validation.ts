import type { Connection } from 'mysql2/promise';
import { createReplica } from '../testing/replica.ts';
import type { BenchContext } from './context.ts';
import { MeasuredRun } from './measured-run.ts';
import { insertMeasuredRows, measuredTableDdl, updateMeasuredRowsSingly } from './measured-table.ts';
import { type BenchLine, type BenchResult, formatRate, rate } from './report.ts';
import { median } from './statistics.ts';
import { cutValidation, removeUnvalidated } from './unvalidated.ts';

/** The permitted cost of validation, as a share of the rows a second. */
const bar = 0.15;

interface Round {
  readonly rows: number;
  /** From the first applied batch to the last. */
  readonly withMs: number;
  readonly withoutMs: number;
  /** The processor time of the entire program. */
  readonly withCpuMs: number;
  readonly withoutCpuMs: number;
}

/**
 * Measures the cost of validating rows before they are loaded. The program and a copy without the checks catch up with the same
 * backlogs. Both follow one source database into their own schemas, and take turns at going first.
 */
export async function validation({ source, target, quick, say }: BenchContext): Promise<BenchResult> {
  const bulkRows = quick ? 300_000 : 600_000;
  const singleRows = quick ? 30_000 : 100_000;
  const rounds = quick ? 2 : 5;
  const without = cutValidation();
  const replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  const env = { with: replica.env, without: { ...replica.env, TARGET_DB_SCHEMA: 'unvalidated' } };
  const both = async (first: 'with' | 'without') => {
    const run = { with: { ms: 0, cpuMs: 0 }, without: { ms: 0, cpuMs: 0 } };
    for (const which of [first, first === 'with' ? 'without' : 'with'] as const)
      run[which] = await caughtUp(env[which], which === 'with' ? undefined : without);
    return run;
  };
  try {
    await admin.query(measuredTableDdl('treatment'));
    await both('with');
    const backlogs: Record<string, { rows: number; write: (round: number) => Promise<void>; rounds: Round[] }> = {
      'bulk inserts': {
        rows: bulkRows,
        write: async (round) =>
          await insertMeasuredRows(admin, 'treatment', round * bulkRows + 1, (round + 1) * bulkRows, 1_000),
        rounds: [],
      },
      'single-row updates': {
        rows: singleRows,
        write: async (round) => await updateMeasuredRowsSingly(admin, 'treatment', round * bulkRows + 1, singleRows),
        rounds: [],
      },
    };
    for (let round = 0; round < rounds; round++)
      for (const [name, backlog] of Object.entries(backlogs)) {
        await unsynced(admin, async () => await backlog.write(round));
        const run = await both(round % 2 === 0 ? 'with' : 'without');
        backlog.rounds.push({
          rows: backlog.rows,
          withMs: run.with.ms,
          withoutMs: run.without.ms,
          withCpuMs: run.with.cpuMs,
          withoutCpuMs: run.without.cpuMs,
        });
        say(
          `validation: ${name}, round ${round + 1}: with ${formatRate(rate(backlog.rows, run.with.ms))}, without ${formatRate(rate(backlog.rows, run.without.ms))}`,
        );
      }
    return {
      lines: Object.entries(backlogs).flatMap(([name, { rounds }]) => summary(name, rounds)),
      figures: Object.fromEntries(Object.entries(backlogs).map(([name, { rounds }]) => [name, rounds])),
    };
  } finally {
    removeUnvalidated();
    await admin.end();
    await replica.drop();
  }
}

async function unsynced(admin: Connection, write: () => Promise<void>): Promise<void> {
  await admin.query('set global sync_binlog = 0, global innodb_flush_log_at_trx_commit = 2');
  await write();
  await admin.query('set global sync_binlog = 1, global innodb_flush_log_at_trx_commit = 1');
}

async function caughtUp(
  env: Readonly<Record<string, string>>,
  program: string | undefined,
): Promise<{ ms: number; cpuMs: number }> {
  const run = new MeasuredRun(env, ['--until-caught-up'], program === undefined ? {} : { program });
  try {
    await run.succeeded();
  } finally {
    await run.kill();
  }
  return { ms: run.loggedAt('caught up') - run.loggedAt('catching up'), cpuMs: run.cpuMs };
}

function summary(name: string, rounds: readonly Round[]): BenchLine[] {
  const costs = rounds.map(({ withMs, withoutMs }) => 1 - withoutMs / withMs);
  const cost = median(costs);
  const cpu = median(rounds.map(({ withCpuMs, withoutCpuMs }) => 1 - withoutCpuMs / withCpuMs));
  return [
    {
      bench: 'validation',
      what: `${name}: what it costs of the rows a second`,
      value: `${percent(cost)} (${costs.map(percent).join(', ')})`,
      bar: `<= ${percent(bar)}`,
      met: cost <= bar,
    },
    { bench: 'validation', what: `${name}: what it costs of the program's processor time`, value: percent(cpu) },
  ];
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
