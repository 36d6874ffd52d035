import { print } from './print.ts';
import type { Config } from '../config/config.ts';
import { type Job, latestJobs } from '../postgres/control/jobs.ts';
import { cancelJobs } from '../postgres/control/requests.ts';
import { TargetSession, WritingSession } from '../postgres/session.ts';
import { withTarget } from './with-target.ts';

const jobsTable = { table: 'jobs', nothing: 'no jobs' } as const;

/** Prints the latest jobs, newest last. Returns the exit code. */
export async function listJobs(config: Config, options: { json: boolean; limit: number }): Promise<number> {
  return await withTarget(config, TargetSession, jobsTable, async (session) => {
    const jobs = await latestJobs(session.db, options.limit);
    if (options.json) print(JSON.stringify({ jobs: jobs.map(printableJob) }));
    else if (jobs.length === 0) print('no jobs');
    else for (const job of jobs) print(inWords(job));
    return 0;
  });
}

/** Cancels jobs. Rows that they repaired stay repaired. Returns the exit code. */
export async function cancel(config: Config, ids: readonly string[]): Promise<number> {
  return await withTarget(config, WritingSession, jobsTable, async (session) => {
    print(`${await cancelJobs(session, ids)} jobs cancelled`);
    return 0;
  });
}

/** The fields of a job that are printed: not its condition, which may contain values of rows. */
export function printableJob(job: Job) {
  const { condition, progress: _, ...printed } = job;
  return { ...printed, part: condition !== null, seconds: secondsOf(job) };
}

/** How many seconds it took, or has taken so far. */
export function secondsOf({ startedAt, finishedAt }: Job): number {
  if (startedAt === null) return 0;
  return Math.round(((finishedAt ?? new Date()).getTime() - startedAt.getTime()) / 100) / 10;
}

function inWords(job: Job): string {
  const { id, table, kind, repair, condition, state, reason, counts, requestedBy, requestedAt } = job;
  const what = `${kind}${repair && kind === 'verify' ? ' --repair' : ''}${condition === null ? '' : ' --where'}`;
  const differences = counts.missing + counts.extra + counts.different;
  const found = `${counts.rows} rows, ${differences} differed, ${counts.repaired} repaired, ${secondsOf(job)} s`;
  return `${id}  ${table}  ${what}  ${state}${reason === null ? '' : `: ${reason}`}  ${found}  by ${requestedBy} at ${requestedAt.toISOString()}`;
}
