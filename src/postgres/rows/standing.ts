import { sql } from 'kysely';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { Reading } from '../session.ts';

/**
 * What is at the target under the name of a table. `ours`: the table that Tidegate made there, by its OID. `free`: nothing. `foreign`: an
 * object of somebody else. `closed`: our table, but its rows cannot be read and written. `what` says it to people.
 */
export type Standing =
  { readonly kind: 'ours' | 'free' } | { readonly kind: 'foreign' | 'closed'; readonly what: string };

interface Found {
  readonly name: string;
  readonly oid: number | null;
  readonly relkind: string | null;
  readonly isType: boolean;
  readonly isOurs: boolean;
  readonly missing: string | null;
  readonly isHidden: boolean;
}

const kinds: Readonly<Record<string, string>> = {
  ...{ r: 'a table', p: 'a partitioned table', v: 'a view', m: 'a materialized view', f: 'a foreign table' },
  ...{ S: 'a sequence', i: 'an index', I: 'an index', c: 'a type' },
};

/** Reads what is under each of these names in the schema of the rows. */
export async function readStandings(
  db: Reading,
  schemaName: string,
  tables: readonly string[],
): Promise<ReadonlyMap<string, Standing>> {
  if (tables.length === 0) return new Map();
  // A table and a type cannot share a name either, because each table has a row type. PostgreSQL moves array types out of the way.
  const { rows } = await sql<Found>`
    select w.name, r.oid, r.relkind, y.oid is not null as "isType",
           coalesce(r.relkind = 'r' and r.oid = t.table_oid, false) as "isOurs",
           case when r.relkind = 'r' then (
             select string_agg(p, ', ') from unnest(array['select', 'insert', 'update', 'delete']) p
              where not has_table_privilege(r.oid, p)) end as missing,
           coalesce(r.relkind = 'r' and row_security_active(r.oid), false) as "isHidden"
      from unnest(${[...tables]}::text[]) w(name)
      left join ${sql.table('tables')} t on t.table_name = w.name
      left join pg_namespace s on s.nspname = ${schemaName}
      left join pg_class r on r.relnamespace = s.oid and r.relname = w.name
      left join pg_type y on y.typnamespace = s.oid and y.typname = w.name and y.typrelid = 0
       and not exists (select from pg_type e where e.typarray = y.oid)`.execute(db);
  return new Map(rows.map((found) => [found.name, standingOf(schemaName, found)]));
}

/** The standing of one table. */
export async function readStanding(db: Reading, schemaName: string, table: string): Promise<Standing> {
  return (await readStandings(db, schemaName, [table])).get(table) ?? { kind: 'free' };
}

function standingOf(schemaName: string, { name, oid, relkind, isType, isOurs, missing, isHidden }: Found): Standing {
  if (oid === null && !isType) return { kind: 'free' };
  if (!isOurs) {
    const kind = oid === null ? 'a type' : (kinds[relkind ?? ''] ?? 'an object');
    return {
      kind: 'foreign',
      what: `schema ${schemaName} of the target holds ${kind} named ${name} that Tidegate did not make`,
    };
  }
  if (missing !== null) return { kind: 'closed', what: `the target role may not ${missing} its rows at the target` };
  if (isHidden) return { kind: 'closed', what: 'row level security at the target hides its rows from the target role' };
  return { kind: 'ours' };
}

/** The error for a transaction that has written a table that Tidegate did not make. */
export function notOurs(schemaName: string, table: string): TidegateError {
  return new TidegateError(
    'target-foreign',
    `table ${table}: the object of that name in schema ${schemaName} of the target is not the table that Tidegate made`,
    { table },
  );
}
