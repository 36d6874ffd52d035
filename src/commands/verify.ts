import type { Config } from '../config/config.ts';
import { type Job, isEqual } from '../postgres/control/jobs.ts';
import { printableJob, secondsOf } from './jobs.ts';
import { requestAndFollow } from './request-jobs.ts';

/** Compares tables by value while they stream. Returns the exit code: 0 only if all are equal or were repaired. */
export async function verify(
  config: Config,
  tables: readonly string[],
  options: { repair: boolean; yes: boolean; json: boolean },
): Promise<number> {
  const jobs = await requestAndFollow(config, tables, {
    kind: 'verify',
    repair: options.repair,
    condition: null,
    yes: options.yes,
    detach: false,
  });
  if (options.json) process.stdout.write(`${JSON.stringify({ tables: jobs.map(printableJob) })}\n`);
  else for (const job of jobs) process.stdout.write(`${inWords(job)}\n`);
  return jobs.every(isEqual) ? 0 : 1;
}

function inWords(job: Job): string {
  const { table, state, reason, repair, counts, examples } = job;
  const { rows, missing, extra, different, changing, rejected, repaired } = counts;
  if (state !== 'done')
    return `${table}: ${state}: ${reason}${repaired > 0 ? `; before that: ${rows} rows read, ${repaired} repaired` : ''}`;
  const found = [
    ...(missing > 0 ? [`${missing} missing`] : []),
    ...(extra > 0 ? [`${extra} extra`] : []),
    ...(different > 0 ? [`${different} different`] : []),
    ...(rejected > 0 ? [`${rejected} that cannot be replicated`] : []),
  ];
  const verdict = found.length === 0 ? 'equal' : `${found.join(', ')}${repair ? '; repaired' : ''}`;
  const busy = changing > 0 ? `; ${changing} changed too often to compare` : '';
  const named = examples.map(({ what, key }) => `\n  ${what} ${key ?? '(key not shown)'}`).join('');
  return `${table}: ${verdict} (${rows} rows in ${secondsOf(job)} s${busy})${named}`;
}
