import { sql } from 'kysely';
import { type Position, formatPosition } from '../../change/position.ts';
import type { TableSchema } from '../../definition/table-schema.ts';
import type { Decision, TableState } from './control-schema.ts';
import { recordEvent } from './events.ts';
import { endJobsOf } from './jobs.ts';
import type { Reading } from '../session.ts';
import type { Fenced } from './writing.ts';

/** The state of a table in the control schema. */
export interface KnownTable {
  readonly table: string;
  readonly state: TableState;
  readonly reason: string | null;
  /** The columns of its rows. */
  readonly schema: TableSchema;
  readonly from: Position;
  readonly until: Position | null;
  readonly copiedKey: readonly string[] | null;
  readonly copiedRows: number;
  /** When a suspended table is tried again; null: it waits for a person. */
  readonly retryAt: Date | null;
  /** It is suspended, and its next try is due. */
  readonly isDue: boolean;
  readonly decision: Decision | null;
}

export async function readTables(db: Reading): Promise<KnownTable[]> {
  const rows = await db
    .selectFrom('tables as t')
    .innerJoin('schema_versions as v', (join) => join.onRef('v.table_name', '=', 't.table_name'))
    // The newest version is valid. Rows of older versions have already been applied.
    .distinctOn('t.table_name')
    .orderBy('t.table_name')
    .orderBy('v.version', 'desc')
    .selectAll('t')
    .select(['v.definition', isDue.as('isDue')])
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
    // These columns are missing until the control schema is migrated, and `check` does not migrate it.
    retryAt: row.retry_at ?? null,
    isDue: row.isDue,
    decision: row.decision ?? null,
  }));
}

const isDue = sql<boolean>`coalesce(state = 'suspended' and (to_jsonb(t) ->> 'retry_at')::timestamptz <= now(), false)`;

/** The tables and their states, without their columns. */
export async function readStates(db: Reading): Promise<{ table: string; state: TableState; isDue: boolean }[]> {
  return await db
    .selectFrom('tables as t')
    .select(['table_name as table', 'state', isDue.as('isDue')])
    .execute();
}

/**
 * Adds a table with its columns as of `from`. A snapshotting table is copied first. A backfilling table streams from there, while its
 * older rows are read beside the stream. A suspended table is not at the target yet.
 */
export async function addTable(
  trx: Fenced,
  schema: TableSchema,
  from: Position,
  state: 'snapshotting' | 'backfilling' | 'suspended',
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

/**
 * Resumes a suspended or excluded table. It streams from `from` on, with its columns at that position, while its rows are read beside the
 * stream.
 */
export async function resumeTable(trx: Fenced, schema: TableSchema, from: Position): Promise<void> {
  const position = { from_file: from.file, from_offset: from.offset };
  await trx
    .updateTable('tables')
    .set({
      ...{ state: 'backfilling', reason: null, retry_at: null, decision: null },
      ...position,
      until_file: null,
      until_offset: null,
      updated_at: sql`now()`,
    })
    .where('table_name', '=', schema.table)
    .execute();
  await addVersion(trx, schema, from);
  await forgetDeadLetters(trx, schema);
  await recordEvent(trx, 'table-resumed', { table: schema.table, at: formatPosition(from) });
}

/** Adds a table without a key, or updates its columns. The table is fully refreshed again and again instead of streamed. */
export async function keepFullRefresh(trx: Fenced, schema: TableSchema, at: Position): Promise<void> {
  const values = {
    ...{ state: 'full-refresh' as const, reason: null, from_file: at.file, from_offset: at.offset },
    ...{ until_file: null, until_offset: null, copied_key: null, updated_at: sql<Date>`now()` },
    ...{ retry_at: null, decision: null },
  };
  await trx
    .insertInto('tables')
    .values({ table_name: schema.table, ...values })
    .onConflict((conflict) => conflict.column('table_name').doUpdateSet(values))
    .execute();
  await addVersion(trx, schema, at);
  await forgetDeadLetters(trx, schema);
}

/** Deletes the dead letters of a table whose rows are all read again. Rows that cannot be copied exactly become dead letters then. */
async function forgetDeadLetters(trx: Fenced, { table }: TableSchema): Promise<void> {
  await trx.deleteFrom('dead_letters').where('table_name', '=', table).execute();
}

async function addVersion(trx: Fenced, schema: TableSchema, at: Position): Promise<void> {
  await sql`insert into ${sql.table('schema_versions')} (table_name, version, from_file, from_offset, definition)
    select ${schema.table}, coalesce(max(version), 0) + 1, ${at.file}, ${at.offset}, ${JSON.stringify(schema)}::jsonb
      from ${sql.table('schema_versions')} where table_name = ${schema.table}`.execute(trx);
}

/** Marks a backfilled table as streaming. All of its older rows have been read. */
export async function finishBackfill(trx: Fenced, table: string): Promise<void> {
  await trx
    .updateTable('tables')
    .set({ state: 'streaming', updated_at: sql`now()` })
    .where('table_name', '=', table)
    .where('state', '=', 'backfilling')
    .execute();
}

/** Marks the snapshot of these tables as complete. From `until` on, they are exact at every checkpoint. */
export async function finishSnapshot(trx: Fenced, until: Position): Promise<void> {
  await trx
    .updateTable('tables')
    .set({ state: 'streaming', until_file: until.file, until_offset: until.offset, updated_at: sql`now()` })
    .where('state', '=', 'snapshotting')
    .execute();
  await recordEvent(trx, 'snapshot-finished', { until: formatPosition(until) });
}

/** What becomes of a suspended table: when it is tried again, or the decision that it waits for with the line to run. */
export function suspendedRemedy({
  table,
  retryAt,
  decision,
}: Pick<KnownTable, 'table' | 'retryAt' | 'decision'>): string {
  const next = retryAt === null ? '' : `, next try at ${retryAt.toISOString()}`;
  const lines: Readonly<Record<Decision, string>> = {
    'confirm-deletions': `it waits for a decision: check that the source is complete, then run tidegate backfill ${table} --yes`,
    'correct-source': `it waits for a decision: correct what the reason names, then run tidegate backfill ${table}`,
    backfill: `it waits for a decision: run tidegate backfill ${table}`,
  };
  const line =
    decision === null ? `it returns by itself${next}; to try now: tidegate backfill ${table}` : lines[decision];
  return `${line}; or, if it is meant to be gone, add it to TABLES_EXCLUDE and restart`;
}

const shortestPause = '30 seconds';
/** After this time without a failure, the next pause is the shortest one again. */
const longestPause = '1 hour';

/**
 * Suspends a table and ends its jobs. It returns by itself after a pause that doubles with each failure, unless a person must decide.
 * A repeated reason is not recorded again. Returns whether the state or the reason is new.
 */
export async function suspendTable(
  trx: Fenced,
  table: string,
  reason: string,
  decision: Decision | null = null,
): Promise<boolean> {
  const { rows } = await sql<{ isNew: boolean }>`
    with was as (
      select table_name, state, reason,
             case when state = 'streaming' and updated_at < now() - ${longestPause}::interval then 0 else failures end as failures
        from ${sql.table('tables')} where table_name = ${table} for update)
    update ${sql.table('tables')} t
       set state = 'suspended', reason = ${reason}, decision = ${decision}, failures = was.failures + 1, updated_at = now(),
           retry_at = case when ${decision}::text is null
             then now() + least(${shortestPause}::interval * power(2, least(was.failures, 20)), ${longestPause}::interval) end
      from was where t.table_name = was.table_name
    returning was.state <> 'suspended' or was.reason is distinct from ${reason} as "isNew"`.execute(trx);
  await endJobsOf(trx, table, `the table was suspended: ${reason}`);
  const isNew = rows[0]?.isNew === true;
  if (isNew) await recordEvent(trx, 'table-suspended', { table, reason });
  return isNew;
}

/** The source has dropped the table. It stays at the target unchanged. */
export async function markGone(trx: Fenced, table: string): Promise<void> {
  const reason = 'the source dropped it';
  await trx
    .updateTable('tables')
    .set({ state: 'gone', reason, retry_at: null, decision: null, updated_at: sql`now()` })
    .where('table_name', '=', table)
    .execute();
  await endJobsOf(trx, table, `the table is gone: ${reason}`);
  await recordEvent(trx, 'table-gone', { table });
}

/** Excludes a table that is no longer selected. It stays at the target unchanged and needs no attention. */
export async function excludeTable(trx: Fenced, table: string): Promise<void> {
  const reason = 'TABLES_INCLUDE and TABLES_EXCLUDE no longer select it';
  await trx
    .updateTable('tables')
    .set({ state: 'excluded', reason, retry_at: null, decision: null, updated_at: sql`now()` })
    .where('table_name', '=', table)
    .execute();
  await endJobsOf(trx, table, `the table was excluded: ${reason}`);
  await recordEvent(trx, 'table-excluded', { table });
}

/** Whether the stream keeps a table exact, now or from a later binlog position on. */
export function isFollowed({ state }: Pick<KnownTable, 'state'>): boolean {
  return state === 'snapshotting' || state === 'backfilling' || state === 'streaming';
}

/** Suspends these tables until they are read again, except excluded and gone tables and tables in full refresh. */
export async function holdForResync(trx: Fenced, tables: readonly string[], reason: string): Promise<void> {
  if (tables.length === 0) return;
  await trx
    .updateTable('tables')
    .set({
      ...{ state: 'suspended', reason, copied_key: null, copied_rows: 0, updated_at: sql`now()` },
      ...{ retry_at: sql<Date>`now()`, decision: null },
    })
    .where('table_name', 'in', tables)
    .where('state', 'not in', ['full-refresh', 'excluded', 'gone'])
    .execute();
}

/** Resets the positions of all tables, so that each table takes every later change of the stream. */
export async function forgetPositions(trx: Fenced, nowhere: Pick<Position, 'file' | 'offset'>): Promise<void> {
  await trx
    .updateTable('tables')
    .set({ from_file: nowhere.file, from_offset: nowhere.offset, until_file: null, until_offset: null })
    .execute();
}
