import { sql } from 'kysely';
import type { TableCodec } from '../../mapping/table-codec.ts';
import type { Target, TargetSession } from '../session.ts';
import { columnList, loadedAtColumn, quoteIdentifier, quoteTable } from './tables.ts';

const staging = 'pg_temp.tidegate_refresh';

/**
 * Makes a table without a key hold exactly these rows, including duplicates. Only missing and surplus rows are written. Rows are compared
 * by the text that PostgreSQL prints for all their columns. Returns how many rows were inserted (`missing`) and deleted (`extra`).
 */
export async function refreshRows(
  session: TargetSession,
  trx: Target,
  schemaName: string,
  { schema }: TableCodec,
  lines: Buffer,
): Promise<{ missing: number; extra: number }> {
  const table = quoteTable(schemaName, schema.table);
  const columns = columnList(schema);
  await sql
    .raw(
      `create temporary table ${staging.slice('pg_temp.'.length)} on commit drop as select ${columns} from ${table} with no data`,
    )
    .execute(trx);
  if (lines.length > 0) await session.copy(staging, columns, lines);
  const image = `row(${schema.columns.map(({ name }) => quoteIdentifier(name)).join(', ')})::text`;
  const numbered = (from: string, more: string) =>
    `(select ${more}, image, row_number() over (partition by image) as copy from (select ${more}, ${image} as image from ${from}) rows)`;
  const deleted = await sql
    .raw(
      `delete from ${table} t where ctid in (
         select here.ctid from ${numbered(table, 'ctid')} here
          where not exists (select from ${numbered(staging, '1 as one')} there where there.image = here.image and there.copy = here.copy))`,
    )
    .execute(trx);
  const inserted = await sql
    .raw(
      `insert into ${table} (${columns}, ${loadedAtColumn})
       select ${columns}, now() from ${numbered(staging, columns)} there
        where not exists (select from ${numbered(table, 'ctid')} here where there.image = here.image and there.copy = here.copy)`,
    )
    .execute(trx);
  return { missing: Number(inserted.numAffectedRows ?? 0n), extra: Number(deleted.numAffectedRows ?? 0n) };
}
