import { sql } from 'kysely';
import type { TableCodec } from '../../mapping/table-codec.ts';
import type { Fenced } from '../control/writing.ts';
import type { WritingSession } from '../session.ts';
import { swallowedBy } from './swallowed-writes.ts';
import { columnList, loadedAtColumn, quoteIdentifier, quoteTable } from './tables.ts';

const staging = 'pg_temp.tidegate_refresh';

/**
 * Makes a table without a key hold exactly these rows, including duplicates. Only missing and surplus rows are written. Rows are compared
 * by the text that PostgreSQL prints for all their columns. Returns how many rows were inserted (`missing`) and deleted (`extra`). Raises
 * target-refused if the target swallows some of these writes.
 */
export async function refreshRows(
  session: WritingSession,
  trx: Fenced,
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
  const extra = await counted(
    trx,
    `select ctid from ${numbered(table, 'ctid')} here
      where not exists (select from ${numbered(staging, '1 as one')} there where there.image = here.image and there.copy = here.copy)`,
    `delete from ${table} where ctid in (select ctid from meant)`,
  );
  if (extra.written !== extra.meant)
    throw await swallowedBy(trx, schemaName, schema.table, { what: 'delete', ...extra });
  const missing = await counted(
    trx,
    `select ${columns} from ${numbered(staging, columns)} there
      where not exists (select from ${numbered(table, 'ctid')} here where there.image = here.image and there.copy = here.copy)`,
    `insert into ${table} (${columns}, ${loadedAtColumn}) select ${columns}, now() from meant`,
  );
  if (missing.written !== missing.meant)
    throw await swallowedBy(trx, schemaName, schema.table, { what: 'insert', ...missing });
  return { missing: missing.written, extra: extra.written };
}

/** Writes the rows of `meant`, and counts them before and after. */
async function counted(trx: Fenced, meant: string, write: string): Promise<{ meant: number; written: number }> {
  const { rows } = await sql
    .raw<{ meant: number; written: number }>(
      `with meant as materialized (${meant}), written as (${write} returning 1)
       select (select count(*) from meant)::int as meant, (select count(*) from written)::int as written`,
    )
    .execute(trx);
  return rows[0] ?? { meant: 0, written: 0 };
}
