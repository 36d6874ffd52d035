import { print, tell } from './print.ts';
import { randomUUID } from 'node:crypto';
import type { Config } from '../config/config.ts';
import { tableFilter } from '../config/table-filter.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { resync as restart, tablesToResync } from '../pipeline/begin/resync.ts';
import { hasControlTable } from '../postgres/control/migrate.ts';
import { Scope } from '../lifetime/scope.ts';
import { TargetSession } from '../postgres/session.ts';
import { type KnownTable, readTables } from '../postgres/control/table-states.ts';
import { exitCodeOf, printBackfills } from './backfill.ts';
import { confirm, namesInWords } from './confirm.ts';
import { followJobs } from './follow-jobs.ts';
import { tryAgain } from './try-again.ts';

/**
 * For a source that was restored, replaced, or has lost its binlog: makes the target equal to it again, in place.
 * Returns the exit code.
 */
export async function resync(config: Config, options: { yes: boolean; detach: boolean }): Promise<number> {
  const { schema, database } = config.target;
  await using scope = new Scope();
  const known = await tryAgain(scope, async (attempt) => await knownTables(attempt, config));
  const tables = tablesToResync(known, tableFilter(config.tables)).map(({ table }) => table);
  tell(
    `this makes ${tables.length} tables of schema ${schema} in ${database} (${namesInWords(tables)}) equal to ${config.source.database} on ${config.source.host} as it is now; rows that the source does not have are deleted`,
  );
  const confirmed = await confirm(config.environment, options.yes, schema);
  if (confirmed === null) {
    tell('not confirmed: nothing was changed');
    return 1;
  }
  const request = randomUUID();
  const ids = await tryAgain(scope, async (attempt) => await restart(attempt, config, confirmed, request));
  if (options.detach) {
    print(`the next run reads ${ids.length} tables; tidegate jobs shows the progress`);
    return 0;
  }
  const jobs = await followJobs(config, ids);
  printBackfills(jobs);
  return exitCodeOf(jobs);
}

async function knownTables(scope: Scope, config: Config): Promise<KnownTable[]> {
  const { db } = await TargetSession.open(scope, config.target, 'tidegate resync');
  if (await hasControlTable(db, 'checkpoint')) return await readTables(db);
  throw new TidegateError('refused', `nothing was copied into schema ${config.target.schema} yet`, {
    hint: 'Start `tidegate run`; it copies every table, then streams.',
  });
}
