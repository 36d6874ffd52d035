import { sql } from 'kysely';
import type { TableSchema } from '../../definition/table-schema.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import { isRowRefusal, sqlStateOf } from '../../errors/postgres-errors.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { Target } from '../session.ts';

/** The column with the time of the last write of a row, by PostgreSQL's clock. Dashboards filter by it. */
export const loadedAtColumn = '_loaded_at';
/** The column that numbers the lines of a staging table, from 1: `generated always as identity`. */
export const stagedLine = 'tidegate_line_number';

/** Quotes a name for PostgreSQL. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function quoteTable(schema: string, table: string): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(table)}`;
}

/** Quoted column names of a table, in the order of its COPY lines. */
export function columnList(schema: TableSchema): string {
  return schema.columns.map(({ name }) => quoteIdentifier(name)).join(', ');
}

/**
 * Creates the target table without its primary key. Names are those of the source. All columns except those of the key are nullable, so
 * values that the source accepts never block the stream. There are no other constraints and no foreign keys, so the order of rows inside
 * a batch does not matter.
 */
export async function createTable(db: Target, schemaName: string, { schema, codecs }: TableCodec): Promise<void> {
  const keys = new Set(schema.primaryKey);
  const columns = schema.columns.map((column, index) => {
    const type = sql.raw(codecs[index]?.pgType ?? 'text');
    return sql`${sql.id(column.name)} ${type}${sql.raw(keys.has(index) ? ' not null' : '')}`;
  });
  await sql`create table if not exists ${sql.id(schemaName, schema.table)} (
    ${sql.join(columns)},
    ${sql.id(loadedAtColumn)} timestamptz not null default now()
  )`.execute(db);
}

/**
 * Adds the primary key to a copied table, unless it has one. Sorting the keys once is much cheaper than maintaining an index while rows
 * arrive. Raises target-refused for a duplicate key and for a key that is too long for an index.
 */
export async function addPrimaryKey(db: Target, schemaName: string, { schema }: TableCodec): Promise<void> {
  if (schema.primaryKey.length === 0) return;
  const table = quoteTable(schemaName, schema.table);
  const { rows } = await sql`select from pg_index where indrelid = ${table}::regclass and indisprimary`.execute(db);
  if (rows.length > 0) return;
  const key = schema.primaryKey.map((index) => sql.id(schema.columns[index]?.name ?? ''));
  try {
    await sql`alter table ${sql.raw(table)} add primary key (${sql.join(key)})`.execute(db);
  } catch (error) {
    if (sqlStateOf(error) !== programLimitExceeded) throw error;
    throw new TidegateError(
      'target-refused',
      `table ${schema.table}: a row has a key longer than the limit of a PostgreSQL index (2,704 bytes); backfill the table, then only such rows become dead letters`,
      { cause: error, table: schema.table },
    );
  }
}

const programLimitExceeded = '54000';

export async function createSchema(db: Target, schemaName: string): Promise<void> {
  await sql`create schema if not exists ${sql.id(schemaName)}`.execute(db);
}

/**
 * Changes the target table of a previously replicated table in place, to the columns that the source has now. Dependent objects are not
 * dropped, and existing rows stay readable. If the key changes, the old rows cannot be distinguished and are deleted. Raises refused when
 * something depends on a column that must be dropped or retyped.
 */
export async function reshapeTable(trx: Target, schemaName: string, codec: TableCodec): Promise<void> {
  const { schema, codecs } = codec;
  const table = quoteTable(schemaName, schema.table);
  await createTable(trx, schemaName, codec);
  const { rows } = await sql<{ name: string; type: string; key: number | null }>`
    select a.attname as name, format_type(a.atttypid, a.atttypmod) as type, array_position(i.indkey::int[], a.attnum::int) as key
      from pg_attribute a left join pg_index i on i.indrelid = a.attrelid and i.indisprimary
     where a.attrelid = ${table}::regclass and a.attnum > 0 and not a.attisdropped`.execute(trx);
  const present = new Map(rows.map((row) => [row.name, row]));
  const keyNow = rows
    .filter(({ key }) => key !== null)
    .toSorted((a, b) => Number(a.key) - Number(b.key))
    .map(({ name }) => name);
  const key = schema.primaryKey.map((index) => schema.columns[index]?.name ?? '');
  const isOtherKey =
    keyNow.join('\0') !== key.join('\0') ||
    key.some(
      (name) =>
        !sameType(present.get(name)?.type, codecs[schema.columns.findIndex((column) => column.name === name)]?.pgType),
    );
  const alter = async (change: string) => await sql.raw(`alter table ${table} ${change}`).execute(trx);
  if (isOtherKey) {
    // A table without a key is an unfinished copy that nobody reads, so truncate is safe. Deleted rows would still count when the key is
    // created.
    await sql.raw(`${keyNow.length === 0 ? 'truncate' : 'delete from'} ${table}`).execute(trx);
    const { rows: constraints } = await sql<{ name: string }>`
      select conname as name from pg_constraint where conrelid = ${table}::regclass and contype = 'p'`.execute(trx);
    for (const { name } of constraints) await alter(`drop constraint ${quoteIdentifier(name)}`);
    for (const name of keyNow) await alter(`alter column ${quoteIdentifier(name)} drop not null`);
  }
  const wanted = new Set([...schema.columns.map(({ name }) => name), loadedAtColumn]);
  for (const { name } of rows) if (!wanted.has(name)) await alter(`drop column ${quoteIdentifier(name)}`);
  for (const [index, { name }] of schema.columns.entries()) {
    const type = codecs[index]?.pgType ?? 'text';
    const column = quoteIdentifier(name);
    const known = present.get(name);
    if (known === undefined) await alter(`add column ${column} ${type}`);
    else if (!sameType(known.type, type)) await retype(trx, table, column, type);
  }
  if (isOtherKey) for (const name of key) await alter(`alter column ${quoteIdentifier(name)} set not null`);
  await addPrimaryKey(trx, schemaName, codec);
}

/** If PostgreSQL cannot convert the old values, the column is NULL until the rows are read again. */
async function retype(trx: Target, table: string, column: string, type: string): Promise<void> {
  await sql`savepoint retype`.execute(trx);
  try {
    await sql
      .raw(`alter table ${table} alter column ${column} type ${type} using ${column}::text::${type}`)
      .execute(trx);
  } catch (error) {
    if (!isRowRefusal(error)) throw error;
    await sql`rollback to savepoint retype`.execute(trx);
    await sql.raw(`alter table ${table} alter column ${column} type ${type} using null`).execute(trx);
  }
}

/** PostgreSQL prints the type timestamp(3) as `timestamp(3) without time zone`. These patterns restore the short form. */
const printedTypes: readonly (readonly [RegExp, string])[] = [
  [/^timestamp(\(\d\))? without time zone$/, 'timestamp$1'],
  [/^timestamp(\(\d\))? with time zone$/, 'timestamptz$1'],
];

function sameType(printed: string | undefined, wanted: string | undefined): boolean {
  if (printed === undefined || wanted === undefined) return false;
  const ours = printedTypes.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), printed);
  return ours === wanted;
}
