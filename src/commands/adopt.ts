import { print, tell } from './print.ts';
import type { Config } from '../config/config.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { Scope } from '../lifetime/scope.ts';
import { adoptTables, readAdoptable } from '../postgres/control/adopt.ts';
import { hasControlTable, migrateControlSchema } from '../postgres/control/migrate.ts';
import { WritingSession } from '../postgres/session.ts';
import { confirm, namesInWords } from './confirm.ts';

/**
 * Takes over tables at the target that have the columns, key and owner of the tables that Tidegate made, for example after a restore from a
 * dump. Returns the exit code.
 */
export async function adopt(config: Config, options: { yes: boolean }): Promise<number> {
  const { schema, database } = config.target;
  await using scope = new Scope();
  const session = await WritingSession.open(scope, config.target, 'tidegate adopt');
  if (!(await hasControlTable(session.db, 'tables')))
    throw new TidegateError('refused', `nothing was copied into schema ${schema} yet`, {
      hint: 'Restore the control schema, too: it is named tidegate_ and the target schema.',
    });
  await migrateControlSchema(session);
  const { fitting, others } = await readAdoptable(session.db, schema);
  for (const { table, why } of others) tell(`${table} cannot be adopted: ${why}`);
  if (fitting.length === 0) {
    print(`nothing to adopt in schema ${schema}`);
    return others.length > 0 ? 1 : 0;
  }
  tell(
    `this lets Tidegate write ${fitting.length} tables of schema ${schema} in ${database} (${namesInWords(fitting)}) that it did not make`,
  );
  const confirmed = await confirm(config.environment, options.yes, schema);
  if (confirmed === null) {
    tell('not confirmed: nothing was changed');
    return 1;
  }
  const adopted = await adoptTables(session, fitting, confirmed);
  print(`adopted ${adopted.length} tables`);
  return others.length > 0 ? 1 : 0;
}
