import { sql } from 'kysely';
import type { Reading } from '../session.ts';

export interface DeadLetter {
  readonly id: string;
  readonly table: string;
  /** COPY text of the columns of the key, as in the control schema. */
  readonly key: Buffer;
  /** The binlog position before the change; null if the row came with the snapshot. */
  readonly after: string | null;
  readonly at: Date;
  readonly reason: string;
  readonly column: string | null;
  readonly sqlState: string | null;
}

/** Dead letters with the same table, column and reason. */
export interface DeadLetterGroup {
  readonly table: string;
  readonly column: string | null;
  readonly reason: string;
  readonly sqlState: string | null;
  readonly rows: number;
}

export async function readDeadLetters(db: Reading, tables: readonly string[], limit: number): Promise<DeadLetter[]> {
  const rows = await db
    .selectFrom('dead_letters')
    .select(['id', 'table_name', 'key', 'file', 'offset', 'at', 'reason', 'column_name', 'sqlstate'])
    .$if(tables.length > 0, (query) => query.where('table_name', 'in', tables))
    .orderBy('id')
    .limit(limit)
    .execute();
  return rows.map((row) => ({
    id: row.id,
    table: row.table_name,
    key: row.key,
    after: row.file === null ? null : `${row.file}:${row.offset}`,
    at: row.at,
    reason: row.reason,
    column: row.column_name,
    sqlState: row.sqlstate,
  }));
}

export async function groupDeadLetters(db: Reading, tables: readonly string[] = []): Promise<DeadLetterGroup[]> {
  const rows = await db
    .selectFrom('dead_letters')
    .select(['table_name', 'column_name', 'reason', 'sqlstate', sql<string>`count(*)`.as('rows')])
    .$if(tables.length > 0, (query) => query.where('table_name', 'in', tables))
    .groupBy(['table_name', 'column_name', 'reason', 'sqlstate'])
    .orderBy('table_name')
    .orderBy('rows', 'desc')
    .execute();
  return rows.map((row) => ({
    table: row.table_name,
    column: row.column_name,
    reason: row.reason,
    sqlState: row.sqlstate,
    rows: Number(row.rows),
  }));
}

/** A dead letter as it was read. A dead letter of a later image of the same row has the same id. */
export interface SeenDeadLetter {
  readonly table: string;
  readonly id: string;
  /** The write time in microseconds since 1970. */
  readonly writtenAt: string;
}

export async function seeDeadLetters(db: Reading, tables: readonly string[]): Promise<SeenDeadLetter[]> {
  const rows = await db
    .selectFrom('dead_letters')
    .select(['id', 'table_name', microseconds.as('written_at')])
    .$if(tables.length > 0, (query) => query.where('table_name', 'in', tables))
    .orderBy('table_name')
    .orderBy('id')
    .execute();
  return rows.map((row) => ({ table: row.table_name, id: row.id, writtenAt: row.written_at }));
}

/** The write time of a dead letter in microseconds since 1970. */
export const microseconds = sql<string>`(extract(epoch from at) * 1000000)::bigint`;
