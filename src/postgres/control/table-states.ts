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

export async function readTables(db: Target, replica: string): Promise<KnownTable[]> {
  const rows = await db
    .selectFrom('tidegate.tables as t')
    .innerJoin('tidegate.schema_versions as v', (join) =>
      join.onRef('v.replica', '=', 't.replica').onRef('v.table_name', '=', 't.table_name'),
    )
    .where('t.replica', '=', replica)
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
export async function readStates(db: Target, replica: string): Promise<{ table: string; state: TableState }[]> {
  return await db
    .selectFrom('tidegate.tables')
    .select(['table_name as table', 'state'])
    .where('replica', '=', replica)
    .execute();
}

/**
 * Takes a table in: its columns as of `from`. It is copied first, or streamed from there while what it had before is read beside
 * the stream.
 */
export async function addTable(
  trx: Target,
  replica: string,
  schema: TableSchema,
  from: Position,
  state: 'snapshotting' | 'backfilling',
): Promise<void> {
  const place = { from_file: from.file, from_offset: from.offset };
  await trx
    .insertInto('tidegate.tables')
    .values({
      replica,
      table_name: schema.table,
      state,
      reason: null,
      ...place,
      until_file: null,
      until_offset: null,
      copied_key: null,
      updated_at: sql`now()`,
    })
    .execute();
  await trx
    .insertInto('tidegate.schema_versions')
    .values({ replica, table_name: schema.table, version: 1, ...place, definition: JSON.stringify(schema) })
    .execute();
}

/** Streams a parked or released table again from `from` on, with the columns it has there, while its rows are read beside the stream. */
export async function takeTableBack(trx: Target, replica: string, schema: TableSchema, from: Position): Promise<void> {
  const place = { from_file: from.file, from_offset: from.offset };
  await trx
    .updateTable('tidegate.tables')
    .set({ state: 'backfilling', reason: null, ...place, until_file: null, until_offset: null, updated_at: sql`now()` })
    .where('replica', '=', replica)
    .where('table_name', '=', schema.table)
    .execute();
  await addVersion(trx, replica, schema, from);
  await forgetLetters(trx, replica, schema);
  await recordEvent(trx, replica, 'table-taken-back', { table: schema.table, at: formatPosition(from) });
}

/** Takes a table without a key in, or in with the columns that it has now, to be copied as a whole again and again. */
export async function keepRefreshed(trx: Target, replica: string, schema: TableSchema, at: Position): Promise<void> {
  const values = {
    ...{ state: 'refreshed' as const, reason: null, from_file: at.file, from_offset: at.offset },
    ...{ until_file: null, until_offset: null, copied_key: null, updated_at: sql<Date>`now()` },
  };
  await trx
    .insertInto('tidegate.tables')
    .values({ replica, table_name: schema.table, ...values })
    .onConflict((conflict) => conflict.columns(['replica', 'table_name']).doUpdateSet(values))
    .execute();
  await addVersion(trx, replica, schema, at);
  await forgetLetters(trx, replica, schema);
}

/** All rows of the table are read again, and whatever cannot be carried then becomes a letter then. */
async function forgetLetters(trx: Target, replica: string, { table }: TableSchema): Promise<void> {
  await trx
    .deleteFrom('tidegate.dead_letters')
    .where('replica', '=', replica)
    .where('table_name', '=', table)
    .execute();
}

async function addVersion(trx: Target, replica: string, schema: TableSchema, at: Position): Promise<void> {
  await sql`insert into tidegate.schema_versions (replica, table_name, version, from_file, from_offset, definition)
    select ${replica}, ${schema.table}, coalesce(max(version), 0) + 1, ${at.file}, ${at.offset}, ${JSON.stringify(schema)}::jsonb
      from tidegate.schema_versions where replica = ${replica} and table_name = ${schema.table}`.execute(trx);
}

/** All that a table had before it was streamed has been read. */
export async function finishBackfill(trx: Target, replica: string, table: string): Promise<void> {
  await trx
    .updateTable('tidegate.tables')
    .set({ state: 'streaming', updated_at: sql`now()` })
    .where('replica', '=', replica)
    .where('table_name', '=', table)
    .where('state', '=', 'backfilling')
    .execute();
}

/** The snapshot of these tables is complete; from `until` on they are exact at every checkpoint. */
export async function finishSnapshot(trx: Target, replica: string, until: Position): Promise<void> {
  await trx
    .updateTable('tidegate.tables')
    .set({ state: 'streaming', until_file: until.file, until_offset: until.offset, updated_at: sql`now()` })
    .where('replica', '=', replica)
    .where('state', '=', 'snapshotting')
    .execute();
  await recordEvent(trx, replica, 'snapshot-finished', { until: formatPosition(until) });
}

/** What ends that a table is parked. */
export function parkedRemedy(table: string): string {
  return `tidegate backfill ${table}; or, if it is meant to be gone, add it to TABLES_EXCLUDE and restart`;
}

export async function parkTable(trx: Target, replica: string, table: string, reason: string): Promise<void> {
  await trx
    .updateTable('tidegate.tables')
    .set({ state: 'parked', reason, updated_at: sql`now()` })
    .where('replica', '=', replica)
    .where('table_name', '=', table)
    .execute();
  await endJobsOf(trx, replica, table, `the table was parked: ${reason}`);
  await recordEvent(trx, replica, 'table-parked', { table, reason });
}

/** Nothing more is done with a table that is not selected any more: it stays at the target as it is, and nobody need look after it. */
export async function releaseTable(trx: Target, replica: string, table: string): Promise<void> {
  const reason = 'TABLES_INCLUDE and TABLES_EXCLUDE no longer select it';
  await trx
    .updateTable('tidegate.tables')
    .set({ state: 'released', reason, updated_at: sql`now()` })
    .where('replica', '=', replica)
    .where('table_name', '=', table)
    .execute();
  await endJobsOf(trx, replica, table, `the table was released: ${reason}`);
  await recordEvent(trx, replica, 'table-released', { table });
}

/** Whether a table is at the target, or is to be, as the source has it from some place of the binlog on. */
export function isFollowed({ state }: Pick<KnownTable, 'state'>): boolean {
  return state !== 'parked' && state !== 'released' && state !== 'refreshed';
}

/** Every table that is streamed waits to be taken back and read again. */
export async function holdForResync(
  trx: Target,
  replica: string,
  tables: readonly string[],
  reason: string,
): Promise<void> {
  if (tables.length === 0) return;
  await trx
    .updateTable('tidegate.tables')
    .set({ state: 'parked', reason, copied_key: null, copied_rows: 0, updated_at: sql`now()` })
    .where('replica', '=', replica)
    .where('table_name', 'in', tables)
    .where('state', 'not in', ['refreshed', 'released'])
    .execute();
}

/** Whatever the stream brings from now on is news to every table. */
export async function forgetPlaces(
  trx: Target,
  replica: string,
  nowhere: Pick<Position, 'file' | 'offset'>,
): Promise<void> {
  await trx
    .updateTable('tidegate.tables')
    .set({ from_file: nowhere.file, from_offset: nowhere.offset, until_file: null, until_offset: null })
    .where('replica', '=', replica)
    .execute();
}
