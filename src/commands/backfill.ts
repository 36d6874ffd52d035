import { print } from './print.ts';
import type { Config } from '../config/config.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import type { Job } from '../postgres/control/jobs.ts';
import { printableJob } from './jobs.ts';
import { requestAndFollow } from './request-jobs.ts';

/** Reads tables again, or the rows that `where` selects, and repairs rows that differ at the target. Returns the exit code. */
export async function backfill(
  config: Config,
  tables: readonly string[],
  options: { all: boolean; suspended: boolean; where: string | null; yes: boolean; detach: boolean; json: boolean },
): Promise<number> {
  if ([options.all, options.suspended, tables.length > 0].filter(Boolean).length !== 1)
    throw new TidegateError(
      'refused',
      'give the tables to backfill, or --all for all tables, or --suspended for all suspended ones',
    );
  if (tables.length === 0 && options.where !== null)
    throw new TidegateError(
      'refused',
      '--where cannot be combined with --all or --suspended: name tables that have the columns of the condition',
    );
  const { jobs, refusal } = await requestAndFollow(config, tables, {
    kind: 'backfill',
    repair: true,
    condition: options.where,
    yes: options.yes,
    detach: options.detach,
    onlySuspended: options.suspended,
  });
  if (jobs.length === 0 && !options.json) print('no table is suspended');
  if (options.json) print(JSON.stringify({ jobs: jobs.map(printableJob) }));
  else printBackfills(jobs);
  if (refusal !== null) throw refusal;
  return options.detach ? 0 : exitCodeOf(jobs);
}

/** Prints the result of each job, or that it was requested. */
export function printBackfills(jobs: readonly Job[]): void {
  for (const job of jobs) print(inWords(job));
}

/** The exit code of a command that has waited for these jobs. */
export function exitCodeOf(jobs: readonly Job[]): number {
  return jobs.every(({ state }) => state === 'done') ? 0 : 1;
}

function inWords({ id, table, state, reason, counts }: Job): string {
  const { rows, missing, extra, different, rejected, repaired } = counts;
  const found = `${rows} rows read, ${repaired} repaired (${missing} were missing, ${extra} extra, ${different} different)${rejected > 0 ? `, ${rejected} dead letters` : ''}`;
  switch (state) {
    case 'done':
      return `${table}: ${found}`;
    case 'failed':
    case 'cancelled':
      return `${table}: ${state}: ${reason}${rows + repaired > 0 ? `; before that: ${found}` : ''}`;
    default:
      return `${table}: requested as job ${id}; tidegate jobs shows the progress`;
  }
}
