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
  for (const { table, why } of others) process.stderr.write(`${table} cannot be adopted: ${why}\n`);
  if (fitting.length === 0) {
    process.stdout.write(`nothing to adopt in schema ${schema}\n`);
    return others.length > 0 ? 1 : 0;
  }
  process.stderr.write(
    `this lets Tidegate write ${fitting.length} tables of schema ${schema} in ${database} (${namesInWords(fitting)}) that it did not make\n`,
  );
  const confirmed = await confirm(config.environment, options.yes, schema);
  if (confirmed === null) {
    process.stderr.write('not confirmed: nothing was changed\n');
    return 1;
  }
  const adopted = await adoptTables(session, fitting, confirmed);
  process.stdout.write(`adopted ${adopted.length} tables\n`);
  return others.length > 0 ? 1 : 0;
}
