import { sql } from 'kysely';
import { knownCodec } from '../../mapping/table-codec.ts';
import { loadedAtColumn, quoteTable, recordMade, sameType } from '../rows/tables.ts';
import type { Reading, WritingSession } from '../session.ts';
import { type Confirmation, recordEvent } from './events.ts';
import { request } from './requests.ts';
import { type KnownTable, readTables } from './table-states.ts';

/** Tables that are not those that Tidegate made, for example after pg_restore, when every table has another OID. */
export interface Adoptable {
  /** Their columns, key and owner are those of the tables that Tidegate made. */
  readonly fitting: readonly string[];
  readonly others: readonly { readonly table: string; readonly why: string }[];
}

interface Candidate {
  readonly table: string;
  readonly relkind: string;
  readonly owner: string;
  readonly isOwn: boolean;
  readonly columns: readonly { readonly name: string; readonly type: string; readonly key: number | null }[];
}

/** Reads which tables could be adopted, and why the others could not. Changes nothing. */
export async function readAdoptable(db: Reading, schemaName: string): Promise<Adoptable> {
  const known = new Map((await readTables(db)).map((table) => [table.table, table]));
  const { rows } = await sql<Candidate>`
    select t.table_name as table, r.relkind, pg_get_userbyid(r.relowner) as owner,
           pg_get_userbyid(r.relowner) = current_user as "isOwn",
           (select coalesce(json_agg(json_build_object(
                     'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
                     'key', array_position(i.indkey::int[], a.attnum::int))), '[]')
              from pg_attribute a left join pg_index i on i.indrelid = a.attrelid and i.indisprimary
             where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped) as columns
      from ${sql.table('tables')} t
      join pg_namespace s on s.nspname = ${schemaName}
      join pg_class r on r.relnamespace = s.oid and r.relname = t.table_name
     where r.oid is distinct from t.table_oid order by 1`.execute(db);
  const judged = rows.map((found) => ({ table: found.table, why: misfit(found, known.get(found.table)) }));
  return {
    fitting: judged.filter(({ why }) => why === null).map(({ table }) => table),
    others: judged.flatMap(({ table, why }) => (why === null ? [] : [{ table, why }])),
  };
}

/** Why an object is not the table that Tidegate would have made; null: it is. */
function misfit({ relkind, owner, isOwn, columns }: Candidate, known: KnownTable | undefined): string | null {
  if (known === undefined || relkind !== 'r') return 'it is not a table';
  if (!isOwn) return `its owner is ${owner}`;
  const { schema, codecs } = knownCodec(known.schema);
  const present = new Map(columns.map((column) => [column.name, column]));
  const wanted = [
    ...schema.columns.map(({ name }, index) => ({ name, type: codecs[index]?.pgType ?? 'text' })),
    { name: loadedAtColumn, type: 'timestamptz' },
  ];
  for (const { name, type } of wanted) {
    const column = present.get(name);
    if (column === undefined) return `it has no column ${name}`;
    if (!sameType(column.type, type)) return `its column ${name} has another type: ${column.type}`;
  }
  // The key of a table whose first copy is not complete comes last.
  const key = schema.primaryKey.map((index) => schema.columns[index]?.name ?? '');
  const keyNow = columns
    .filter((column) => column.key !== null)
    .toSorted((a, b) => Number(a.key) - Number(b.key))
    .map(({ name }) => name);
  return keyNow.length > 0 && keyNow.join('\0') !== key.join('\0') ? 'it has another primary key' : null;
}

/**
 * Adopts these tables: from now on they are the ones that Tidegate made. Those of them that are suspended return at once. Returns the
 * tables that still fit.
 */
export async function adoptTables(
  session: WritingSession,
  tables: readonly string[],
  confirmed: Confirmation,
): Promise<readonly string[]> {
  const { targetSchema } = session;
  return await request(session, async (trx) => {
    // Nobody can exchange a table between the second look and the commit.
    await sql
      .raw(`lock table ${tables.map((table) => quoteTable(targetSchema, table)).join(', ')} in access share mode`)
      .execute(trx);
    const { fitting } = await readAdoptable(trx, targetSchema);
    const adopted = tables.filter((table) => fitting.includes(table));
    const known = await readTables(trx);
    for (const { table, schema } of known)
      if (adopted.includes(table)) await recordMade(trx, targetSchema, knownCodec(schema));
    await trx
      .updateTable('tables')
      .set({ failures: 0, retry_at: sql<Date>`case when retry_at is not null then now() end` })
      .where('table_name', 'in', adopted)
      .execute();
    await recordEvent(trx, 'tables-adopted', { tables: adopted, confirmed });
    return adopted;
  });
}
