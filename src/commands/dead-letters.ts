import { print, tell } from './print.ts';
import type { TableSchema } from '../definition/table-schema.ts';
import type { Config } from '../config/config.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import {
  type DeadLetter,
  groupDeadLetters,
  readDeadLetters,
  seeDeadLetters,
} from '../postgres/control/dead-letter-list.ts';
import { discardDeadLetters } from '../postgres/rows/dead-letter-actions.ts';
import { TargetSession, WritingSession } from '../postgres/session.ts';
import { readTables } from '../postgres/control/table-states.ts';
import { confirm, namesInWords } from './confirm.ts';
import { requestAndFollow } from './request-jobs.ts';
import { withTarget } from './with-target.ts';

const deadLetterTable = { table: 'dead_letters', nothing: 'no dead letters' } as const;

/** Prints the reasons with their counts, then at most `limit` dead letters, oldest first. Returns the exit code. */
export async function listDeadLetters(
  config: Config,
  tables: readonly string[],
  options: { json: boolean; limit: number },
): Promise<number> {
  return await withTarget(config, TargetSession, deadLetterTable, async (session) => {
    const schemas = await schemasOf(session, tables);
    const groups = await groupDeadLetters(session.db, tables);
    const deadLetters = await readDeadLetters(session.db, tables, options.limit);
    const printed = deadLetters.map((row) => ({ ...row, key: keyText(row, schemas.get(row.table)) }));
    if (options.json) print(JSON.stringify({ groups, deadLetters: printed }));
    else if (groups.length === 0) print('no dead letters');
    else {
      const total = groups.reduce((sum, { rows }) => sum + rows, 0);
      const lines = [
        ...groups.map(
          ({ rows, table, column, reason, sqlState }) => `${rows} × ${why(table, column, reason, sqlState)}`,
        ),
        '',
        ...printed.map(
          ({ id, table, key, after, at }) =>
            `${id}  ${table}  ${key ?? '(key not shown)'}  ${after === null ? 'snapshot' : `after ${after}`}  ${at.toISOString()}`,
        ),
        ...(total > deadLetters.length ? [`… and ${total - deadLetters.length} more`] : []),
      ];
      print(...lines);
    }
    return 0;
  });
}

/** Writes the dead letters of these tables again. Returns 0 if none is left, else 1. */
export async function retry(config: Config, tables: readonly string[]): Promise<number> {
  return await withTarget(config, TargetSession, deadLetterTable, async (session) => {
    await schemasOf(session, tables);
    const groups = await groupDeadLetters(session.db, tables);
    const counts = new Map<string, number>();
    for (const { table, rows } of groups) counts.set(table, rows + (counts.get(table) ?? 0));
    if (counts.size === 0) {
      print('no dead letters');
      return 0;
    }
    const work = { kind: 'retry', repair: true, condition: null, yes: false, detach: false } as const;
    const { jobs, refusal } = await requestAndFollow(config, [...counts.keys()], work);
    let left = 0;
    for (const { table, state, reason, counts: found } of jobs) {
      const count = counts.get(table) ?? 0;
      left += count - found.repaired;
      print(
        state === 'done'
          ? `${table}: ${found.repaired} of ${count} written`
          : `${table}: skipped, because ${reason ?? `the job was ${state}`}`,
      );
    }
    if (left > 0)
      print(
        'The others stay dead letters. If PostgreSQL cannot store the text of a row, change the row at the source.',
      );
    if (refusal !== null) throw refusal;
    return left === 0 ? 0 : 1;
  });
}

/** Deletes the dead letters of these tables, after a confirmation in production. Returns the exit code. */
export async function discard(config: Config, tables: readonly string[], options: { yes: boolean }): Promise<number> {
  return await withTarget(config, WritingSession, deadLetterTable, async (session) => {
    const { schema: replica, database } = config.target;
    await schemasOf(session, tables);
    const seen = await seeDeadLetters(session.db, tables);
    if (seen.length === 0) {
      print('no dead letters');
      return 0;
    }
    const names = [...new Set(seen.map(({ table }) => table))];
    tell(
      `this forgets ${seen.length} dead letters of ${namesInWords(names)} in schema ${replica} of ${database}; their rows stay missing or old at the target until the source changes them`,
    );
    const confirmed = await confirm(config.environment, options.yes, replica);
    if (confirmed === null) {
      tell('not confirmed: nothing was changed');
      return 1;
    }
    print(`${await discardDeadLetters(session, seen, confirmed)} dead letters discarded`);
    return 0;
  });
}

function why(table: string, column: string | null, reason: string, sqlState: string | null): string {
  return `${table}${column === null ? '' : `.${column}`}: ${reason}${sqlState === null ? '' : ` (SQLSTATE ${sqlState})`}`;
}

/** Schemas by table. Raises refused for a name that is not a replicated table. */
async function schemasOf(session: TargetSession, tables: readonly string[]): Promise<ReadonlyMap<string, TableSchema>> {
  const known = new Map((await readTables(session.db)).map(({ table, schema }) => [table, schema]));
  const unknown = tables.filter((table) => !known.has(table));
  if (unknown.length > 0)
    throw new TidegateError('refused', `schema ${session.targetSchema} has no replicated table ${unknown.join(', ')}`, {
      hint: 'Give each name exactly as at the source, including upper and lower case.',
    });
  return known;
}

/** Types whose values identify a row but no person. */
const showable = /int$|^(decimal|year|date|datetime|timestamp|time|bit|uuid)$/;

/** The key of a dead letter, to print. Null if it contains text, which may be personal data; the control schema has it. */
function keyText({ key }: DeadLetter, schema: TableSchema | undefined): string | null {
  const columns = schema?.primaryKey.map((index) => schema.columns[index]);
  if (columns?.every((column) => column !== undefined && showable.test(column.type)) !== true) return null;
  return key.toString('utf8').replaceAll('\t', ', ');
}
