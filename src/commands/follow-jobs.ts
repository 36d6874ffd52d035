import { tell } from './print.ts';
import type { Config } from '../config/config.ts';
import { sleep } from '../lifetime/backoff.ts';
import { describeError } from '../errors/describe-error.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { type Progress, ProgressBars, type TablesDone, measureProgress } from '../monitoring/terminal-progress.ts';
import { KeptConnection } from '../monitoring/kept-connection.ts';
import { stalls } from '../monitoring/stalls.ts';
import { Scope } from '../lifetime/scope.ts';
import { runChecks } from '../pipeline/check/preflight.ts';
import { drainMs, replicate } from '../pipeline/service.ts';
import { type Job, readJobs } from '../postgres/control/jobs.ts';
import { isPaused } from '../postgres/control/pause-switch.ts';
import { cancelJobs } from '../postgres/control/requests.ts';
import { readLeaseHolder } from '../postgres/control/lease.ts';
import { TargetSession, WritingSession } from '../postgres/session.ts';
import { tryAgain } from './try-again.ts';

const pollMs = 300;
/** After so long without an answer, another connection is tried. */
const answerMs = 30_000;
const lineEveryMs = 10_000;

/**
 * Waits until the jobs have ended, and shows their progress on stderr. A running service does the jobs. If none runs, this process
 * takes the lease, streams, does the jobs, and releases the lease. SIGINT or SIGTERM cancels the jobs. A connection that breaks meanwhile is
 * replaced.
 */
export async function followJobs(config: Config, ids: readonly string[]): Promise<Job[]> {
  await using scope = new Scope();
  const cancelled = cancelOnSignal(scope, config, ids);
  const target = new KeptConnection(
    'target',
    async (part) => await TargetSession.open(part, config.target, 'tidegate jobs'),
  );
  const look = async () =>
    await tryAgain(
      scope,
      async () =>
        await target.ask(
          async ({ db }) => ({
            jobs: await readJobs(db, ids),
            isPaused: await isPaused(db),
            holder: await readLeaseHolder(db),
          }),
          answerMs,
        ),
    );
  const progress = process.stderr.isTTY ? new ProgressBars(process.stderr) : new Lines();
  await using alone = new Scope();
  let working: Promise<unknown> | null = null;
  const failures: unknown[] = [];
  let isPauseShown = false;
  const reasons = new Map<string, string>();
  try {
    for (;;) {
      const { jobs, isPaused, holder } = await look();
      const tablesDone = jobs.filter(isEnded).length;
      progress.show(jobs.filter(({ state }) => state !== 'waiting').map(progressOf), {
        tables: jobs.length,
        tablesDone,
        percent: Math.floor((100 * tablesDone) / jobs.length),
      });
      if (jobs.every(isEnded)) return jobs;
      for (const { id, table, state, reason } of jobs) {
        if (state !== 'waiting' || reason === null || reasons.get(id) === reason) continue;
        reasons.set(id, reason);
        tell(`${table}: waits for another attempt: ${reason}`);
      }
      if (failures.length > 0) throw failures[0];
      if (!isPauseShown && isPaused) {
        isPauseShown = true;
        tell('paused: the jobs wait for `tidegate resume`');
      }
      if (working === null && holder === null) {
        working = workAlone(alone, config, ids)
          .catch((error: unknown) => failures.push(error))
          .finally(() => {
            working = null;
          });
      }
      await sleep(pollMs, cancelled.signal);
    }
  } finally {
    progress.close();
    cancelled.dispose();
    alone.drain(drainMs, new TidegateError('internal', 'the jobs have ended'));
    await working;
    await target.close();
  }
}

export function isEnded({ state }: Job): boolean {
  return state !== 'waiting' && state !== 'running';
}

/** Raises refused if the checks find an error, as `run` does. */
async function workAlone(scope: Scope, config: Config, ids: readonly string[]): Promise<void> {
  const findings = await runChecks(scope, config, { allowPrivilegedSource: false });
  const errors = findings.filter(({ level }) => level === 'error');
  if (errors.length > 0)
    throw new TidegateError(
      'refused',
      errors
        .map(({ subject, message, remedy }) => `${subject}: ${message}${remedy === undefined ? '' : `; ${remedy}`}`)
        .join('. '),
    );
  await replicate(
    scope,
    config,
    { until: { ended: ids } },
    {
      state: () => undefined,
      prepared: () => undefined,
      progress: ({ table, rows }) => tell(`copying ${table} first: ${rows} rows`),
      copied: () => undefined,
      pace: (pace) => {
        const reason = whyItWaits[pace];
        if (reason !== null) tell(reason);
      },
      chunk: () => undefined,
      applied: () => undefined,
      read: () => undefined,
      stalled: (reason) => {
        if (reason !== null) tell(`stalled: ${stalls[reason]}`);
      },
      suspended: (table, reason) => tell(`table ${table} was suspended: ${reason}`),
      job: () => undefined,
      refused: (error) => tell(describeError(error).message),
      retrying: (error, delayMs) => tell(`${describeError(error).message}; next attempt in ${delayMs} ms`),
    },
  );
}

const whyItWaits = {
  free: null,
  considerate: null,
  waiting: 'waits: the source is busy',
  lagging: 'waits: the source is a replica and falls behind',
  trickling: 'reads one small chunk a minute: the source has been busy for ten minutes',
  closed: 'waits for SNAPSHOT_WINDOW',
} as const;

function cancelOnSignal(scope: Scope, config: Config, ids: readonly string[]) {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(1);
    controller.abort();
    tell('cancelling; repaired rows stay repaired');
    tryAgain(
      scope,
      async (attempt) => await cancelJobs(await WritingSession.open(attempt, config.target, 'tidegate jobs'), ids),
    ).catch((error: unknown) => tell(describeError(error).message));
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return {
    signal: controller.signal,
    dispose: () => {
      process.off('SIGINT', onSignal);
      process.off('SIGTERM', onSignal);
    },
  };
}

function progressOf({ table, state, counts, estimatedRows, startedAt }: Job): Progress {
  return {
    ...{ table, estimatedRows, rows: counts.rows, rowsBefore: 0, startedAt: startedAt?.getTime() ?? null },
    ended: state === 'running' ? null : state,
  };
}

/** Progress as lines, for output that is no terminal. */
class Lines {
  #last = Date.now();

  show(reading: readonly Progress[], { tables, tablesDone }: TablesDone): void {
    if (Date.now() - this.#last < lineEveryMs) return;
    this.#last = Date.now();
    for (const progress of reading.filter(({ ended }) => ended === null)) {
      const { table, rows, estimatedRows } = progress;
      const { rate, secondsLeft } = measureProgress(progress);
      tell(
        `${table}: ${rows} of about ${estimatedRows} rows, ${rate} rows/s${secondsLeft === null ? '' : `, ${secondsLeft} s left`}; ${tablesDone} of ${tables} tables done`,
      );
    }
  }

  close(): void {
    // Nothing is open.
  }
}
