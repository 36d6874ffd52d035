import type { Config } from '../config/config.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import type { Job } from '../postgres/control/jobs.ts';
import { printableJob } from './jobs.ts';
import { requestAndFollow } from './request-jobs.ts';

/** Reads tables, or a part of them, again, and repairs what differs at the target. Returns the exit code. */
export async function backfill(
  config: Config,
  tables: readonly string[],
  options: { all: boolean; where: string | null; yes: boolean; detach: boolean; json: boolean },
): Promise<number> {
  if (options.all === tables.length > 0)
    throw new TidegateError('refused', 'give the tables to backfill, or --all for every one');
  if (options.all && options.where !== null)
    throw new TidegateError(
      'refused',
      '--where goes with one table, or with tables that have the same columns; not with --all',
    );
  const jobs = await requestAndFollow(config, tables, {
    kind: 'backfill',
    repair: true,
    condition: options.where,
    yes: options.yes,
    detach: options.detach,
  });
  if (options.json) process.stdout.write(`${JSON.stringify({ jobs: jobs.map(printableJob) })}\n`);
  else if (options.detach) for (const job of jobs) process.stdout.write(`${inWords(job)}\n`);
  else return printBackfills(jobs);
  return options.detach || jobs.every(({ state }) => state === 'done') ? 0 : 1;
}

/** Prints what became of each, and returns the exit code. */
export function printBackfills(jobs: readonly Job[]): number {
  for (const job of jobs) process.stdout.write(`${inWords(job)}\n`);
  return jobs.every(({ state }) => state === 'done') ? 0 : 1;
}

function inWords({ id, table, state, reason, counts }: Job): string {
  const { rows, missing, extra, different, rejected, repaired } = counts;
  const found = `${rows} rows read, ${repaired} repaired (${missing} were missing, ${extra} too many, ${different} different)${rejected > 0 ? `, ${rejected} dead letters` : ''}`;
  switch (state) {
    case 'done':
      return `${table}: ${found}`;
    case 'failed':
    case 'cancelled':
      return `${table}: ${state}: ${reason}${rows + repaired > 0 ? `; until then ${found}` : ''}`;
    default:
      return `${table}: requested as job ${id}; tidegate jobs shows how far it is`;
  }
}
