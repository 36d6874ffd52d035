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
    process.stdout.write(`nothing to reset: schema ${schema} has no table that Tidegate created\n`);
    return 0;
  }
  const { ours: tables, foreign } = found;
  process.stderr.write(
    `this drops ${tables.length} tables of schema ${schema} in ${config.target.database} (${namesInWords(tables)}) and forgets the checkpoint; the source does not change\n`,
  );
  if (foreign.length > 0)
    process.stderr.write(`Tidegate did not make ${namesInWords(foreign)} there, so these objects stay\n`);
  const confirmed = await confirm(config.environment, options.yes, schema);
  if (confirmed === null) {
    process.stderr.write('not confirmed: nothing was changed\n');
    return 1;
  }
  await resetReplica(scope, config.target, tables, confirmed);
  process.stdout.write(`dropped ${tables.length} tables; the next run copies everything again\n`);
  return 0;
}
