import { sql } from 'kysely';
import type { TableSchema } from '../change/table-schema.ts';
import type { TableCodec } from '../mapping/table-codec.ts';
import type { Target } from './session.ts';

/** When a row was last written here, by PostgreSQL's clock. Dashboards filter by it. */
export const loadedAtColumn = '_loaded_at';

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
 * Makes the target table, without its primary key yet: names as at the source, every column but the key's nullable, so that what the source
 * tolerates today or tomorrow never blocks the stream. There are no other constraints and no foreign keys, so the order of
 * rows inside a batch cannot matter.
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
 * Gives a copied table its primary key, unless it has it: sorting the keys once costs PostgreSQL a fraction of keeping an index
 * while rows arrive. A key that is there twice is refused here.
 */
export async function addPrimaryKey(db: Target, schemaName: string, { schema }: TableCodec): Promise<void> {
  const table = quoteTable(schemaName, schema.table);
  const { rows } = await sql`select from pg_index where indrelid = ${table}::regclass and indisprimary`.execute(db);
  if (rows.length > 0) return;
  const key = schema.primaryKey.map((index) => sql.id(schema.columns[index]?.name ?? ''));
  await sql`alter table ${sql.raw(table)} add primary key (${sql.join(key)})`.execute(db);
}

export async function createSchema(db: Target, schemaName: string): Promise<void> {
  await sql`create schema if not exists ${sql.id(schemaName)}`.execute(db);
}
