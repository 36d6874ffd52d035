import type { ColumnType } from 'kysely';
import type { ConversionKind } from '../../change/conversion.ts';
import type { RejectedFormat } from '../../change/rejected-row.ts';
import type { TableSchema } from '../../definition/table-schema.ts';

/** What all replicas of a database share: so far, which migrations moved their state. */
export const sharedSchemaName = 'tidegate';

/** Where a replica keeps its state at the target: beside its rows, in a schema of its own. */
export function controlSchemaName(targetSchema: string): string {
  return `${sharedSchemaName}_${targetSchema}`;
}

/** timestamptz: read as Date, written as whatever PostgreSQL understands. */
type Instant = ColumnType<Date, Date | string, Date | string>;
/** True in the one row of its table. */
type OneRow = ColumnType<true, never, never>;
/** bigint: read as text by pg, written as a number or text. */
type Bigint = ColumnType<string, number | string, number | string>;

/**
 * The control tables of one replica. A replica has the name of its target schema, so several sources can share one PostgreSQL
 * database. Their names are given without a schema; ControlSchemaPlugin adds it.
 */
export interface ControlSchema {
  checkpoint: CheckpointTable;
  lease: LeaseTable;
  tables: TablesTable;
  schema_versions: SchemaVersionsTable;
  conversions: ConversionsTable;
  dead_letters: DeadLettersTable;
  controls: ControlsTable;
  jobs: JobsTable;
  status: StatusTable;
  events: EventsTable;
}

/** The position up to which the target is complete, written in the transaction that makes it so. */
export interface CheckpointTable {
  singleton: OneRow;
  file: string;
  offset: Bigint;
  gtid: string | null;
  /** When the source began that file, in seconds since 1970 by its own clock; null: not known. */
  file_began: ColumnType<string | null, number | null | undefined, number | null>;
  /** When the source wrote the last applied transaction, by its own clock. */
  committed_at: Instant | null;
  applied_at: Instant;
  /** The lease under which this was written. A writer whose epoch is older has been replaced. */
  lease_epoch: Bigint;
  /** Which server the position belongs to. */
  source_identity: string;
  /** Which of its databases; null: begun by a version that did not keep it. */
  source_database: string | null;
}

/** Who may write the target now. */
export interface LeaseTable {
  singleton: OneRow;
  epoch: Bigint;
  /** Host and process, for people. */
  holder: string;
  /** The PostgreSQL backend of the holder's lease connection: gone with the process. */
  backend_pid: number;
  backend_start: Instant;
  expires_at: Instant;
}

/**
 * `full-refresh`: copied as a whole again and again instead of streamed, because it has no key. `snapshotting`: copied before the stream begins. `backfilling`: streamed already, and what was there before is still being read.
 * `suspended`: held back until it is read again. `excluded`: not selected any more, and left as it is. `gone`: the source has dropped it.
 */
export type TableState =
  'snapshotting' | 'backfilling' | 'streaming' | 'full-refresh' | 'suspended' | 'excluded' | 'gone';

export interface TablesTable {
  table_name: string;
  state: TableState;
  /** Why a table is suspended. */
  reason: string | null;
  /** Changes before this place are in the snapshot. */
  from_file: string | null;
  from_offset: Bigint | null;
  /** Where the source's binlog ended when the snapshot was complete; before it, rows may be newer than the checkpoint. */
  until_file: string | null;
  until_offset: Bigint | null;
  /** Key of the last row copied, as SQL literals for the source; null: none yet. */
  copied_key: ColumnType<string[] | null, string | null, string | null>;
  copied_rows: ColumnType<string, number | string | undefined, number | string>;
  updated_at: Instant;
}

/** A table's columns, valid from a position on. */
export interface SchemaVersionsTable {
  table_name: string;
  version: number;
  from_file: string;
  from_offset: Bigint;
  definition: ColumnType<TableSchema, string, string>;
}

/** Values that had to change to fit, counted. */
export interface ConversionsTable {
  table_name: string;
  column_name: string;
  kind: ConversionKind;
  count: Bigint;
}

/** Rows that cannot be at the target as they are at the source, one for each key. */
export interface DeadLettersTable {
  id: ColumnType<string, never, never>;
  table_name: string;
  /** COPY text of the key's columns, joined by tabs. */
  key: Buffer;
  /** The source had been read up to here when the row was rejected; null: it came with the snapshot. */
  file: string | null;
  offset: Bigint | null;
  at: ColumnType<Date, never, never>;
  reason: string;
  column_name: string | null;
  sqlstate: string | null;
  /** The row, whole: what `format` says. */
  row: Buffer;
  format: RejectedFormat;
}

/** What the operator tells the running service. */
export interface ControlsTable {
  singleton: OneRow;
  paused: boolean;
  /** User and host, for people. */
  changed_by: string;
  changed_at: ColumnType<Date, Date | string | undefined, Date | string>;
}

export type JobKind = 'backfill' | 'verify' | 'refresh';
export type JobState = 'waiting' | 'running' | 'done' | 'failed' | 'cancelled';

/** A table, or a part of it, that is read again while it streams. */
export interface JobsTable {
  id: ColumnType<string, never, never>;
  table_name: string;
  kind: JobKind;
  /** Rows that differ are written. Always so of a backfill. */
  repair: boolean;
  /** A plain condition on the table's columns; null: all rows. It may hold values, so it stays in here. */
  condition: string | null;
  /** Somebody agreed to however many rows are deleted by it. */
  confirmed: boolean;
  state: JobState;
  /** Why it failed or was cancelled. */
  reason: string | null;
  /** It failed because it deletes more rows than may be without a confirmation. */
  unconfirmed: ColumnType<boolean, never, boolean>;
  /** Where to go on; see JobProgress. */
  progress: ColumnType<JobProgress | null, string | null, string | null>;
  estimated_rows: ColumnType<string, number, number>;
  rows: ColumnType<string, never, number>;
  missing: ColumnType<string, never, number>;
  extra: ColumnType<string, never, number>;
  different: ColumnType<string, never, number>;
  changing: ColumnType<string, never, number>;
  rejected: ColumnType<string, never, number>;
  repaired: ColumnType<string, never, number>;
  examples: ColumnType<JobExample[], never, string>;
  requested_by: string;
  requested_at: ColumnType<Date, never, never>;
  started_at: Instant | null;
  finished_at: Instant | null;
  updated_at: ColumnType<Date, never, Date | string>;
}

/** The last row that a job is done with. */
export interface JobProgress {
  /** Its key as SQL literals for the source; null when what the source has was all read. */
  readonly after: readonly string[] | null;
  /** Its key, each value as text that PostgreSQL takes. */
  readonly afterKey: readonly string[] | null;
  /** `source`: reading what the source has; `target`: looking for what only the target has. */
  readonly side: 'source' | 'target';
}

/** A row that differs. */
export interface JobExample {
  readonly what: 'missing' | 'extra' | 'different';
  /** Null where the key holds text, which may be anything. */
  readonly key: string | null;
}

/** What the running service says of itself, a few times a minute. */
export interface StatusTable {
  singleton: OneRow;
  state: string;
  updated_at: Instant;
  detail: ColumnType<Record<string, unknown>, string, string>;
}

/** Append-only audit: who started what and when, never a value. */
export interface EventsTable {
  id: ColumnType<string, never, never>;
  at: ColumnType<Date, never, never>;
  kind: string;
  detail: ColumnType<Record<string, unknown>, string, string>;
}
