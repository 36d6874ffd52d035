import { print } from './print.ts';
import type { Config } from '../config/config.ts';
import { Scope } from '../lifetime/scope.ts';
import { leftOutInWords } from '../monitoring/lag-words.ts';
import type { LeftOutGroup } from '../postgres/control/control-schema.ts';
import { type Job, isEqual } from '../postgres/control/jobs.ts';
import { TargetSession } from '../postgres/session.ts';
import { readFindings } from '../postgres/control/status.ts';
import { printableJob, secondsOf } from './jobs.ts';
import { requestAndFollow } from './request-jobs.ts';

/** A table that is verified by no comparison. `full-refresh`: it has no key. */
type NotVerified = Omit<LeftOutGroup, 'state'> & { readonly state: LeftOutGroup['state'] | 'full-refresh' };

/**
 * Compares tables by value while they stream, and names those that are left out if all were asked for. Returns the exit code: 0 only if all
 * that were compared are equal or were repaired.
 */
export async function verify(
  config: Config,
  tables: readonly string[],
  options: { repair: boolean; yes: boolean; json: boolean },
): Promise<number> {
  const { jobs, refusal } = await requestAndFollow(config, tables, {
    kind: 'verify',
    repair: options.repair,
    condition: null,
    yes: options.yes,
    detach: false,
  });
  const leftOut = tables.length > 0 ? [] : await readNotVerified(config);
  if (options.json) print(JSON.stringify({ tables: jobs.map(printableJob), leftOut }));
  else {
    for (const job of jobs) print(inWords(job));
    for (const group of leftOut) print(`not compared: ${leftOutInWords(group)}`);
  }
  if (refusal !== null) throw refusal;
  return jobs.every(isEqual) ? 0 : 1;
}

/** The tables that are left out, and those that are refreshed in full, by reason. A suspended table has a result of its own. */
async function readNotVerified(config: Config): Promise<NotVerified[]> {
  await using scope = new Scope();
  const { db } = await TargetSession.open(scope, config.target, 'tidegate verify');
  const { tables, leftOut } = await readFindings(db);
  const keyless = tables.filter(({ state }) => state === 'full-refresh').map(({ table }) => table);
  return [
    ...(leftOut ?? []).filter(({ state }) => state !== 'suspended'),
    ...(keyless.length === 0
      ? []
      : [{ state: 'full-refresh' as const, reason: 'it has no key and is fully refreshed', tables: keyless }]),
  ];
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
