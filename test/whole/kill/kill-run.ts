import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionOptions } from 'mysql2/promise';
import type { ClientConfig } from 'pg';
import { patienceMs } from '../../../testing/run-process.ts';
import { SeededRandom } from '../../../testing/random/seeded-random.ts';
import { type AskedJob, JobTally, backfillOf, jobsAgainAndAgain, verificationOf } from '../jobs.ts';
import { InvariantReader, type Violation } from './invariants.ts';
import { inWords, liveUntil } from './life.ts';
import { type Death, planDeath } from './plan.ts';
import { killTables, type KillTableSizes } from './tables.ts';
import { Writers } from './writers.ts';

export interface KillRunOptions {
  /** An account with write access at the source, and the database to write to. */
  readonly source: ConnectionOptions;
  readonly target: ClientConfig;
  readonly schema: string;
  /** The environment of the program. */
  readonly env: Readonly<Record<string, string>>;
  readonly kills: number;
  readonly seed: number;
  readonly sizes: KillTableSizes;
  /** Also change InnoDB and MyISAM tables in one transaction. */
  readonly mixed: boolean;
  /** Called after each kill. */
  readonly say: (text: string) => void;
}

export interface KillRunResult {
  readonly kills: number;
  /** The number of deaths by failpoint, and by signal. */
  readonly deaths: Readonly<Record<string, number>>;
  /** The number of deaths by the phase of the program. */
  readonly phases: Readonly<Record<string, number>>;
  readonly transactions: number;
  readonly polls: number;
  readonly violations: readonly Violation[];
  readonly jobs: JobTally;
}

/** The largest share of the kills that may fall into the snapshot; it must complete at some point. */
const snapshotShare = 0.3;

/**
 * Kills `run` again and again, from its first snapshot on, while writers change everything that it replicates and jobs read it again.
 * Returns when the kills are done and the writers have stopped. The caller must then compare the target.
 */
export async function killAgainAndAgain(options: KillRunOptions): Promise<KillRunResult> {
  const { kills, say } = options;
  const random = new SeededRandom(options.seed);
  const writers = new Writers(options.seed, options.sizes, options.mixed);
  const reader = new InvariantReader(options.target, options.schema);
  const asking = random.fork('jobs');
  const jobs = new JobTally();
  const stopping = new AbortController();
  let requesting: Promise<void> | undefined;
  const deaths: Record<string, number> = {};
  const phases: Record<string, number> = {};
  let snapshotDone = false;
  writers.start(options.source);
  try {
    for (let kill = 0; kill < kills; kill++) {
      if (!snapshotDone && kill >= kills * snapshotShare) {
        // No more kills until the snapshot is complete.
        const waiting: Death = { by: 'signal', after: 'streaming', delayMs: 200 };
        await live(waiting, patienceMs);
        snapshotDone = true;
        continue;
      }
      await live(planDeath(kill, snapshotDone, random));
      await sleep(random.int(0, 100));
    }
  } finally {
    stopping.abort();
    await Promise.all([writers.stop(), reader.stop(), requesting]);
  }
  return {
    kills,
    deaths,
    phases,
    transactions: writers.transactions,
    polls: reader.polls,
    violations: reader.violations,
    jobs,
  };

  async function live(death: Death, eventMs?: number): Promise<void> {
    const life = await liveUntil(
      death,
      options.env,
      (phase) => {
        if (phase === 'catching up' || phase === 'streaming') snapshotDone = true;
        // From here on every state of the target must be a state of the source.
        if (phase !== 'streaming') return;
        reader.start();
        requesting ??= jobsAgainAndAgain(
          options.target,
          stopping.signal,
          () => askedJobs(asking),
          (job) => jobs.add(job),
        );
        // It is awaited at the end.
        requesting.catch(() => undefined);
      },
      eventMs,
    );
    deaths[life.died] = (deaths[life.died] ?? 0) + 1;
    phases[life.during] = (phases[life.during] ?? 0) + 1;
    say(inWords(life));
  }
}

/** Jobs of all kinds for two tables, and for the table without a key. */
function askedJobs(random: SeededRandom): AskedJob[] {
  const table = random.pick(killTables.keyed);
  const other = random.pick(killTables.keyed.filter((name) => name !== table));
  return [
    random.pick([backfillOf(table), verificationOf(table), verificationOf(table, true)]),
    random.pick([backfillOf(other), verificationOf(other, true), backfillOf('wide', 'patient < 300')]),
    backfillOf(killTables.keyless),
  ];
}
