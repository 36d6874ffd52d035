import { sql } from 'kysely';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { Reading } from '../session.ts';

/** Rows that PostgreSQL accepted without an error and did not write. */
export interface Swallowed {
  readonly what: 'insert' | 'delete';
  readonly meant: number;
  readonly written: number;
}

/**
 * The error for a table whose target swallows writes. A trigger that returns null before a row, and a rule `do instead nothing`, skip rows
 * without an error. Only the number of written rows shows it. Names those that may be the cause.
 */
export async function swallowedBy(
  trx: Reading,
  schemaName: string,
  table: string,
  { what, meant, written }: Swallowed,
): Promise<TidegateError> {
  const { rows } = await sql<{ name: string }>`
    select 'trigger ' || quote_ident(t.tgname) as name
      from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = ${schemaName} and c.relname = ${table} and not t.tgisinternal and t.tgenabled <> 'D'
       and t.tgtype & ${triggerType.row | triggerType.before} = ${triggerType.row | triggerType.before}
       and t.tgtype & ${what === 'delete' ? triggerType.delete : triggerType.insert | triggerType.update} <> 0
     union all
    select 'rule ' || quote_ident(r.rulename)
      from pg_rewrite r join pg_class c on c.oid = r.ev_class join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = ${schemaName} and c.relname = ${table} and r.is_instead and r.ev_enabled <> 'D'
       and r.ev_type::text = any(${what === 'delete' ? ['4'] : ['2', '3']})
     order by 1`.execute(trx);
  const cause = rows.length === 0 ? 'something' : rows.map(({ name }) => name).join(' and ');
  const lost =
    what === 'delete'
      ? 'keeps rows that were deleted'
      : `swallows rows: PostgreSQL accepted ${meant} and wrote ${written}`;
  return new TidegateError('target-refused', `table ${table}: ${cause} at the target ${lost}`, {
    table,
    hint: `Drop ${rows.length === 0 ? 'what skips rows there' : 'it'}, or let every row pass.`,
  });
}

/** Bits of pg_trigger.tgtype (https://github.com/postgres/postgres/blob/REL_17_STABLE/src/include/catalog/pg_trigger.h). */
const triggerType = { row: 1, before: 2, insert: 4, delete: 8, update: 16 } as const;
