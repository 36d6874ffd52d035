import { print, tell } from './print.ts';
import type { Config } from '../config/config.ts';
import { replicaTables, resetReplica } from '../postgres/control/reset.ts';
import { Scope } from '../lifetime/scope.ts';
import { hasControlTable, migrateControlSchema } from '../postgres/control/migrate.ts';
import { WritingSession } from '../postgres/session.ts';
import { confirm, namesInWords } from './confirm.ts';

/** Drops the tables that Tidegate created at the target, so that the next `run` copies everything again. Returns the exit code. */
export async function reset(config: Config, options: { yes: boolean }): Promise<number> {
  const { schema } = config.target;
  await using scope = new Scope();
  const session = await WritingSession.open(scope, config.target, 'tidegate reset');
  if (await hasControlTable(session.db, 'tables')) await migrateControlSchema(session);
  const found = await replicaTables(session);
  if (found === null) {
    print(`nothing to reset: schema ${schema} has no table that Tidegate created`);
    return 0;
  }
  const { ours: tables, foreign } = found;
  tell(
    `this drops ${tables.length} tables of schema ${schema} in ${config.target.database} (${namesInWords(tables)}) and forgets the checkpoint; the source does not change`,
  );
  if (foreign.length > 0) tell(`Tidegate did not make ${namesInWords(foreign)} there, so these objects stay`);
  const confirmed = await confirm(config.environment, options.yes, schema);
  if (confirmed === null) {
    tell('not confirmed: nothing was changed');
    return 1;
  }
  await resetReplica(scope, config.target, tables, confirmed);
  print(`dropped ${tables.length} tables; the next run copies everything again`);
  return 0;
}
