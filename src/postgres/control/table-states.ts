import { sql } from 'kysely';
import { type Position, formatPosition } from '../../change/position.ts';
import type { TableSchema } from '../../definition/table-schema.ts';
import type { TableState } from './control-schema.ts';
import { recordEvent } from './events.ts';
import { endJobsOf } from './jobs.ts';
import type { Target } from '../session.ts';

/** What the control schema knows of a table. */
export interface KnownTable {
  readonly table: string;
  readonly state: TableState;
  readonly reason: string | null;
  /** The columns rows are read by. */
  readonly schema: TableSchema;
  readonly from: Position;
  readonly until: Position | null;
  readonly copiedKey: readonly string[] | null;
  readonly copiedRows: number;
}

export async function readTables(db: Target): Promise<KnownTable[]> {
  const rows = await db
    .selectFrom('tables as t')
    .innerJoin('schema_versions as v', (join) => join.onRef('v.table_name', '=', 't.table_name'))
    // The newest version is the valid one; rows of older ones are behind the checkpoint.
    .distinctOn('t.table_name')
    .orderBy('t.table_name')
    .orderBy('v.version', 'desc')
    .selectAll('t')
    .select('v.definition')
    .execute();
  return rows.map((row) => ({
    table: row.table_name,
    state: row.state,
    reason: row.reason,
    schema: row.definition,
    from: { file: row.from_file ?? '', offset: Number(row.from_offset ?? 0), gtid: null },
    until: row.until_file === null ? null : { file: row.until_file, offset: Number(row.until_offset), gtid: null },
    copiedKey: row.copied_key,
    copiedRows: Number(row.copied_rows),
  }));
}

/** Which tables there are, without what they look like. */
export async function readStates(db: Target): Promise<{ table: string; state: TableState }[]> {
  return await db.selectFrom('tables').select(['table_name as table', 'state']).execute();
}

/**
 * Takes a table in: its columns as of `from`. It is copied first, or streamed from there while what it had before is read beside
 * the stream.
 */
export async function addTable(
  trx: Target,
  schema: TableSchema,
  from: Position,
  state: 'snapshotting' | 'backfilling',
): Promise<void> {
  const position = { from_file: from.file, from_offset: from.offset };
  await trx
    .insertInto('tables')
    .values({
      table_name: schema.table,
      state,
      reason: null,
      ...position,
      until_file: null,
      until_offset: null,
      copied_key: null,
      updated_at: sql`now()`,
    })
    .execute();
  await trx
    .insertInto('schema_versions')
    .values({ table_name: schema.table, version: 1, ...position, definition: JSON.stringify(schema) })
    .execute();
}

/** Streams a suspended or excluded table again from `from` on, with the columns it has there, while its rows are read beside the stream. */
export async function resumeTable(trx: Target, schema: TableSchema, from: Position): Promise<void> {
  const position = { from_file: from.file, from_offset: from.offset };
  await trx
    .updateTable('tables')
    .set({
      state: 'backfilling',
      reason: null,
      ...position,
      until_file: null,
      until_offset: null,
      updated_at: sql`now()`,
    })
    .where('table_name', '=', schema.table)
    .execute();
  await addVersion(trx, schema, from);
  await forgetLetters(trx, schema);
  await recordEvent(trx, 'table-resumed', { table: schema.table, at: formatPosition(from) });
}

/** Takes a table without a key in, or in with the columns that it has now, to be copied as a whole again and again. */
export async function keepFullRefresh(trx: Target, schema: TableSchema, at: Position): Promise<void> {
  const values = {
    ...{ state: 'full-refresh' as const, reason: null, from_file: at.file, from_offset: at.offset },
    ...{ until_file: null, until_offset: null, copied_key: null, updated_at: sql<Date>`now()` },
  };
  await trx
    .insertInto('tables')
    .values({ table_name: schema.table, ...values })
    .onConflict((conflict) => conflict.column('table_name').doUpdateSet(values))
    .execute();
  await addVersion(trx, schema, at);
  await forgetLetters(trx, schema);
}

/** All rows of the table are read again, and whatever cannot be carried then becomes a letter then. */
async function forgetLetters(trx: Target, { table }: TableSchema): Promise<void> {
  await trx.deleteFrom('dead_letters').where('table_name', '=', table).execute();
}

async function addVersion(trx: Target, schema: TableSchema, at: Position): Promise<void> {
  await sql`insert into ${sql.table('schema_versions')} (table_name, version, from_file, from_offset, definition)
    select ${schema.table}, coalesce(max(version), 0) + 1, ${at.file}, ${at.offset}, ${JSON.stringify(schema)}::jsonb
      from ${sql.table('schema_versions')} where table_name = ${schema.table}`.execute(trx);
}

/** All that a table had before it was streamed has been read. */
export async function finishBackfill(trx: Target, table: string): Promise<void> {
  await trx
    .updateTable('tables')
    .set({ state: 'streaming', updated_at: sql`now()` })
    .where('table_name', '=', table)
    .where('state', '=', 'backfilling')
    .execute();
}

/** The snapshot of these tables is complete; from `until` on they are exact at every checkpoint. */
export async function finishSnapshot(trx: Target, until: Position): Promise<void> {
  await trx
    .updateTable('tables')
    .set({ state: 'streaming', until_file: until.file, until_offset: until.offset, updated_at: sql`now()` })
    .where('state', '=', 'snapshotting')
    .execute();
  await recordEvent(trx, 'snapshot-finished', { until: formatPosition(until) });
}

/** What ends that a table is suspended. */
export function suspendedRemedy(table: string): string {
  return `tidegate backfill ${table}; or, if it is meant to be gone, add it to TABLES_EXCLUDE and restart`;
}

export async function suspendTable(trx: Target, table: string, reason: string): Promise<void> {
  await trx
    .updateTable('tables')
    .set({ state: 'suspended', reason, updated_at: sql`now()` })
    .where('table_name', '=', table)
    .execute();
  await endJobsOf(trx, table, `the table was suspended: ${reason}`);
  await recordEvent(trx, 'table-suspended', { table, reason });
}

/** Nothing more is done with a table that is not selected any more: it stays at the target as it is, and nobody need look after it. */
export async function excludeTable(trx: Target, table: string): Promise<void> {
  const reason = 'TABLES_INCLUDE and TABLES_EXCLUDE no longer select it';
  await trx
    .updateTable('tables')
    .set({ state: 'excluded', reason, updated_at: sql`now()` })
    .where('table_name', '=', table)
    .execute();
  await endJobsOf(trx, table, `the table was excluded: ${reason}`);
  await recordEvent(trx, 'table-excluded', { table });
}

/** Whether a table is at the target, or is to be, as the source has it from some place of the binlog on. */
export function isFollowed({ state }: Pick<KnownTable, 'state'>): boolean {
  return state !== 'suspended' && state !== 'excluded' && state !== 'full-refresh';
}

/** Every table that is streamed is suspended until it is read again. */
export async function holdForResync(trx: Target, tables: readonly string[], reason: string): Promise<void> {
  if (tables.length === 0) return;
  await trx
    .updateTable('tables')
    .set({ state: 'suspended', reason, copied_key: null, copied_rows: 0, updated_at: sql`now()` })
    .where('table_name', 'in', tables)
    .where('state', 'not in', ['full-refresh', 'excluded'])
    .execute();
}

/** Whatever the stream brings from now on is news to every table. */
export async function forgetPositions(trx: Target, nowhere: Pick<Position, 'file' | 'offset'>): Promise<void> {
  await trx
    .updateTable('tables')
    .set({ from_file: nowhere.file, from_offset: nowhere.offset, until_file: null, until_offset: null })
    .execute();
}
