import { sql } from 'kysely';
import type { TableSchema } from '../../definition/table-schema.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import { isRowRefusal, sqlStateOf } from '../../errors/postgres-errors.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { Fenced, Writable } from '../control/writing.ts';
import { notOurs } from './standing.ts';

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
 * a batch does not matter. Raises target-foreign if the name was taken in this moment; the transaction stays usable.
 */
export async function createTable(trx: Fenced, schemaName: string, { schema, codecs }: TableCodec): Promise<void> {
  const keys = new Set(schema.primaryKey);
  const columns = schema.columns.map((column, index) => {
    const type = sql.raw(codecs[index]?.pgType ?? 'text');
    return sql`${sql.id(column.name)} ${type}${sql.raw(keys.has(index) ? ' not null' : '')}`;
  });
  await sql`savepoint create_table`.execute(trx);
  try {
    await sql`create table ${sql.id(schemaName, schema.table)} (
      ${sql.join(columns)},
      ${sql.id(loadedAtColumn)} timestamptz not null default now()
    )`.execute(trx);
  } catch (error) {
    if (!nameTaken.has(sqlStateOf(error) ?? '')) throw error;
    await sql`rollback to savepoint create_table`.execute(trx);
    throw notOurs(schemaName, schema.table);
  }
}

/** SQLSTATEs duplicate_table and duplicate_object, and unique_violation in the catalog when two sessions create at the same moment. */
const nameTaken = new Set(['42P07', '42710', '23505']);

/**
 * Adds the primary key to a copied table, unless it has one. Sorting the keys once is much cheaper than maintaining an index while rows
 * arrive. Raises target-refused for a duplicate key and for a key that is too long for an index.
 */
export async function addPrimaryKey(trx: Fenced, schemaName: string, { schema }: TableCodec): Promise<void> {
  if (schema.primaryKey.length === 0) return;
  const table = quoteTable(schemaName, schema.table);
  const { rows } = await sql`select from pg_index where indrelid = ${table}::regclass and indisprimary`.execute(trx);
  if (rows.length > 0) return;
  const key = schema.primaryKey.map((index) => sql.id(schema.columns[index]?.name ?? ''));
  try {
    await sql`alter table ${sql.raw(table)} add primary key (${sql.join(key)})`.execute(trx);
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

export async function createSchema(trx: Fenced, schemaName: string): Promise<void> {
  await sql`create schema if not exists ${sql.id(schemaName)}`.execute(trx);
}

/**
 * Records the OID of a table that this transaction created, and its columns. The table is in the list already.
 */
export async function recordMade(trx: Writable, schemaName: string, { schema }: TableCodec): Promise<void> {
  const table = quoteTable(schemaName, schema.table);
  await sql`
    update ${sql.table('tables')}
       set table_oid = ${table}::regclass::oid, made_columns = ${columnsOf(table, madeNames(schema))}
     where table_name = ${schema.table}`.execute(trx);
}

/** Columns of a table by name, each with its `attnum`: a column that somebody drops and adds again has another. */
function columnsOf(table: string, names: readonly string[]) {
  return sql`(select jsonb_object_agg(attname, attnum) from pg_attribute
    where attrelid = ${table}::regclass and attnum > 0 and not attisdropped and attname = any(${[...names]}::text[]))`;
}

function madeNames({ columns }: TableSchema): string[] {
  return [...columns.map(({ name }) => name), loadedAtColumn];
}

export interface Reshape {
  /** Whether all rows may be deleted without a confirmation, however many there are. */
  readonly mayEmpty: boolean;
}

interface PresentColumn {
  readonly name: string;
  readonly type: string;
  /** The position in the primary key; null: not in it. */
  readonly key: number | null;
  readonly isMade: boolean;
}

/**
 * Changes the target table of a previously replicated table in place, to the columns that the source has now. Dependent objects are not
 * dropped, and existing rows stay readable. Columns that others have added stay as they are. If the key changes, the old rows cannot be
 * distinguished and are deleted. Raises refused when something depends on a column that must be dropped or retyped, target-foreign when a
 * column of somebody else has the name of a column of the source, unconfirmed when too many rows would be deleted.
 */
export async function reshapeTable(
  trx: Fenced,
  schemaName: string,
  codec: TableCodec,
  { mayEmpty }: Reshape,
): Promise<void> {
  const { schema, codecs } = codec;
  const table = quoteTable(schemaName, schema.table);
  const { rows } = await sql<PresentColumn>`
    select a.attname as name, format_type(a.atttypid, a.atttypmod) as type, array_position(i.indkey::int[], a.attnum::int) as key,
           coalesce(((t.made_columns ->> a.attname)::int = a.attnum), false) as "isMade"
      from pg_attribute a
      left join pg_index i on i.indrelid = a.attrelid and i.indisprimary
      left join ${sql.table('tables')} t on t.table_name = ${schema.table}
     where a.attrelid = ${table}::regclass and a.attnum > 0 and not a.attisdropped`.execute(trx);
  const present = new Map(rows.map((row) => [row.name, row]));
  assertNoForeignColumn(schema, present);
  const keyNow = rows
    .filter(({ key }) => key !== null)
    .toSorted((a, b) => Number(a.key) - Number(b.key))
    .map(({ name }) => name);
  const key = schema.primaryKey.map((index) => schema.columns[index]?.name ?? '');
  const alter = async (change: string) => await sql.raw(`alter table ${table} ${change}`).execute(trx);
  const retypeAll = async () => {
    for (const [index, { name }] of schema.columns.entries()) {
      const type = codecs[index]?.pgType ?? 'text';
      const known = present.get(name);
      if (known !== undefined && !sameType(known.type, type))
        await retype(trx, table, quoteIdentifier(name), type, key.includes(name));
    }
  };
  const isSameKey = keyNow.join('\0') === key.join('\0');
  const fit = async () => {
    await retypeAll();
    if (keyNow.length > 0 || key.length === 0) return;
    for (const name of key) await alter(`alter column ${quoteIdentifier(name)} set not null`);
    await addPrimaryKey(trx, schemaName, codec);
  };
  // Rows are kept as long as the new key tells them apart: its columns only change their types, or the table had no key.
  const isFit =
    (isSameKey || (keyNow.length === 0 && key.every((name) => present.has(name)))) && (await attempted(trx, fit));
  if (!isFit) {
    const empties = key.length > 0;
    if (empties && !mayEmpty) await assertFewRows(trx, table, schema.table);
    // Nothing reads a table without a key yet, so truncate is safe. Deleted rows would still count when the key is created.
    if (empties) await sql.raw(`${keyNow.length === 0 ? 'truncate' : 'delete from'} ${table}`).execute(trx);
    const { rows: constraints } = await sql<{ name: string }>`
      select conname as name from pg_constraint where conrelid = ${table}::regclass and contype = 'p'`.execute(trx);
    for (const { name } of constraints) await alter(`drop constraint ${quoteIdentifier(name)}`);
    for (const name of keyNow) await alter(`alter column ${quoteIdentifier(name)} drop not null`);
    await retypeAll();
  }
  const wanted = new Set(madeNames(schema));
  for (const { name, isMade } of rows)
    if (isMade && !wanted.has(name)) await alter(`drop column ${quoteIdentifier(name)}`);
  for (const [index, { name }] of schema.columns.entries())
    if (!present.has(name)) await alter(`add column ${quoteIdentifier(name)} ${codecs[index]?.pgType ?? 'text'}`);
  if (!present.has(loadedAtColumn))
    await alter(`add column ${quoteIdentifier(loadedAtColumn)} timestamptz not null default now()`);
  if (!isFit) for (const name of key) await alter(`alter column ${quoteIdentifier(name)} set not null`);
  await addPrimaryKey(trx, schemaName, codec);
  const { numAffectedRows } = await sql`
    update ${sql.table('tables')} set made_columns = ${columnsOf(table, madeNames(schema))}
     where table_name = ${schema.table} and table_oid = ${table}::regclass::oid`.execute(trx);
  if (numAffectedRows !== 1n) throw notOurs(schemaName, schema.table);
}

/** Raises target-foreign if a column of the source has the name of a column that somebody else added. */
function assertNoForeignColumn({ table, columns }: TableSchema, present: ReadonlyMap<string, PresentColumn>): void {
  const foreign = columns.find(({ name }) => present.get(name)?.isMade === false);
  if (foreign === undefined) return;
  throw new TidegateError(
    'target-foreign',
    `table ${table} has a column ${foreign.name} at the target that Tidegate did not make: rename or drop it there`,
    { table },
  );
}

/** The most rows that a read deletes without a confirmation, or this share of the table if it is more. */
export const unconfirmedDeletions = { rows: 1_000, share: 0.1 } as const;

/** Raises unconfirmed if the table has more rows than may be deleted without a confirmation. */
async function assertFewRows(trx: Fenced, table: string, name: string): Promise<void> {
  const most = unconfirmedDeletions.rows;
  const { rows } = await sql<{ many: boolean }>`
    select count(*) > ${most} as many from (select from ${sql.raw(table)} limit ${most + 1}) some`.execute(trx);
  if (rows[0]?.many !== true) return;
  throw new TidegateError(
    'unconfirmed',
    `table ${name}: its key has changed, so its more than ${most} rows at the target must be deleted and read again, which must be confirmed`,
    { table: name },
  );
}

/** Runs `work` in a savepoint. False: PostgreSQL refused it because of the rows, and it is rolled back. */
async function attempted(trx: Fenced, work: () => Promise<void>): Promise<boolean> {
  await sql`savepoint attempt`.execute(trx);
  try {
    await work();
    await sql`release savepoint attempt`.execute(trx);
    return true;
  } catch (error) {
    if (!isRowRefusal(error)) throw error;
    await sql`rollback to savepoint attempt; release savepoint attempt`.execute(trx);
    return false;
  }
}

/**
 * If PostgreSQL cannot convert the old values, the column is NULL until the rows are read again. A column of the key cannot be NULL, so
 * the refusal is raised.
 */
async function retype(trx: Fenced, table: string, column: string, type: string, isKey: boolean): Promise<void> {
  const alter = async (using: string) =>
    await sql.raw(`alter table ${table} alter column ${column} type ${type} using ${using}`).execute(trx);
  const converted = await attempted(trx, async () => {
    await alter(`${column}::text::${type}`);
  });
  if (converted) return;
  await alter(isKey ? `${column}::text::${type}` : 'null');
}

/** PostgreSQL prints the type timestamp(3) as `timestamp(3) without time zone`. These patterns restore the short form. */
const printedTypes: readonly (readonly [RegExp, string])[] = [
  [/^timestamp(\(\d\))? without time zone$/, 'timestamp$1'],
  [/^timestamp(\(\d\))? with time zone$/, 'timestamptz$1'],
];

export function sameType(printed: string | undefined, wanted: string | undefined): boolean {
  if (printed === undefined || wanted === undefined) return false;
  const ours = printedTypes.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), printed);
  return ours === wanted;
}
