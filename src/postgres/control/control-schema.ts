import type { Witness } from '../../change/witness.ts';
import type { ColumnType } from 'kysely';
import type { ConversionKind } from '../../change/conversion.ts';
import type { RejectedFormat } from '../../change/rejected-row.ts';
import type { TableSchema } from '../../definition/table-schema.ts';

/** The schema that all replicas of a database share. It holds only the migrations that moved their state. */
export const sharedSchemaName = 'tidegate';

/** The control schema of a replica: its state at the target, beside the schema of its rows. */
export function controlSchemaName(targetSchema: string): string {
  return `${sharedSchemaName}_${targetSchema}`;
}

/** timestamptz: read as Date, written as any value that PostgreSQL understands. */
type Instant = ColumnType<Date, Date | string, Date | string>;
/** The column of a table with one row. It is always true. */
type OneRow = ColumnType<true, never, never>;
/** bigint: read as text by pg, written as a number or text. */
type Bigint = ColumnType<string, number | string, number | string>;

/**
 * The control tables of one replica. A replica has the name of its target schema, so several sources can share one PostgreSQL database.
 * Table names have no schema here; ControlSchemaPlugin adds it.
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
  refusal: RefusalTable;
  left_out: LeftOutTable;
}

/** The target is complete up to this position. It is written in the transaction that completes the target. */
export interface CheckpointTable {
  singleton: OneRow;
  file: string;
  offset: Bigint;
  gtid: string | null;
  /** When the source started that file, in seconds since 1970 by its own clock; null if unknown. */
  file_began: ColumnType<string | null, number | null | undefined, number | null>;
  /** When the source wrote the last applied transaction, by its own clock. */
  committed_at: Instant | null;
  applied_at: Instant;
  /** The server of the position. */
  source_identity: string;
  /** The database on that server; null if the replica was started by a version that did not record it. */
  source_database: string | null;
  /** The last groups that were applied, by which the source proves its history; null: none is known. */
  witnesses: ColumnType<Witness[] | null, string | null | undefined, string | null>;
}

/** Why the history of a source was refused. It stays until `resync`, and holds for that server alone. */
export interface RefusalTable {
  singleton: OneRow;
  reason: string;
  source_identity: string;
  at: ColumnType<Date, never, never>;
}

/**
 * Tables of the source that are left out for one reason. `refused`: they cannot be replicated. `excluded`: the settings do not select them.
 * `suspended` and `gone`: as the table states.
 */
export interface LeftOutGroup {
  readonly state: 'refused' | 'excluded' | 'suspended' | 'gone';
  readonly reason: string;
  readonly tables: readonly string[];
}

/** The tables that were not replicated when the service last looked at the source. No row: it did not look yet. */
export interface LeftOutTable {
  singleton: OneRow;
  groups: ColumnType<LeftOutGroup[], string, string>;
}

/** The instance that may write the target now. */
export interface LeaseTable {
  singleton: OneRow;
  /** The fence: each transaction of the holder locks it before the commit. */
  epoch: Bigint;
  /** Host and process, for people. */
  holder: string;
  /** The PostgreSQL backend of the holder's lease connection. It ends with the process. */
  backend_pid: number;
  backend_start: Instant;
  expires_at: Instant;
}

/**
 * The states of a table. src/pipeline/table-life.ts says what leads from one to another.
 *
 * `full-refresh`: copied completely again and again instead of streamed, because it has no key. `snapshotting`: copied before the stream
 * starts. `backfilling`: streamed, while its older rows are still being read. `suspended`: held back until it is read again. `excluded`:
 * no longer selected, and left unchanged. `gone`: the source has dropped it.
 */
export type TableState =
  'snapshotting' | 'backfilling' | 'streaming' | 'full-refresh' | 'suspended' | 'excluded' | 'gone';

export interface TablesTable {
  table_name: string;
  state: TableState;
  /** Why a table is suspended. */
  reason: string | null;
  /** Changes before this position are in the snapshot. */
  from_file: string | null;
  from_offset: Bigint | null;
  /** The end of the source's binlog when the snapshot was complete. Before this position, rows may be newer than the checkpoint. */
  until_file: string | null;
  until_offset: Bigint | null;
  /** The key of the last copied row, as SQL literals for the source; null if there is none. */
  copied_key: ColumnType<string[] | null, string | null, string | null>;
  copied_rows: ColumnType<string, number | string | undefined, number | string>;
  updated_at: Instant;
  /** The table that Tidegate made at the target; null: it made none. Any other object under the name belongs to somebody else. */
  table_oid: ColumnType<number | null, number | null | undefined, number | null>;
  /** The columns that Tidegate made there, each with its `attnum`. Other columns belong to somebody else. */
  made_columns: ColumnType<Record<string, number> | null, string | null | undefined, string | null>;
  /** How often the table was suspended in a row. */
  failures: ColumnType<number, number | undefined, number>;
  /** When a suspended table is tried again; null: it waits for a person. */
  retry_at: ColumnType<Date | null, Date | null | undefined, Date | null>;
  /** The decision that a suspended table waits for. */
  decision: ColumnType<Decision | null, Decision | null | undefined, Decision | null>;
}

/**
 * What only a person can decide about a suspended table. `confirm-deletions`: its read would delete many rows. `correct-source`: the source
 * has it in a form that cannot be replicated. `backfill`: somebody cancelled its read.
 */
export type Decision = 'confirm-deletions' | 'correct-source' | 'backfill';

/** A table's columns, valid from a position on. */
export interface SchemaVersionsTable {
  table_name: string;
  version: number;
  from_file: string;
  from_offset: Bigint;
  definition: ColumnType<TableSchema, string, string>;
}

/** Counts of values that were converted to fit. */
export interface ConversionsTable {
  table_name: string;
  column_name: string;
  kind: ConversionKind;
  count: Bigint;
}

/** Rows that cannot be copied exactly to the target, one for each key. */
export interface DeadLettersTable {
  id: ColumnType<string, never, never>;
  table_name: string;
  /** COPY text of the key's columns, joined by tabs. */
  key: Buffer;
  /** The source had been read up to this position when the row was rejected. Null if the row came with the snapshot. */
  file: string | null;
  offset: Bigint | null;
  at: ColumnType<Date, never, never>;
  reason: string;
  column_name: string | null;
  sqlstate: string | null;
  /** The complete row, in the format that `format` names. */
  row: Buffer;
  format: RejectedFormat;
}

/** What the operator asks of the running service. */
export interface ControlsTable {
  singleton: OneRow;
  paused: boolean;
  /** User and host, for people. */
  changed_by: string;
  changed_at: ColumnType<Date, Date | string | undefined, Date | string>;
}

export type JobKind = 'backfill' | 'verify' | 'refresh' | 'retry';
export type JobState = 'waiting' | 'running' | 'done' | 'failed' | 'cancelled';

/** A job that reads a table, or a part of it, again while it streams. */
export interface JobsTable {
  id: ColumnType<string, never, never>;
  table_name: string;
  kind: JobKind;
  /** Whether rows that differ are written. Always true for a backfill. */
  repair: boolean;
  /** A plain condition on the columns of the table; null for all rows. It may hold values, so it must not leave the control schema. */
  condition: string | null;
  /** Somebody confirmed the deletion of any number of rows. */
  confirmed: boolean;
  state: JobState;
  /** Why it failed or was cancelled. */
  reason: string | null;
  /** It failed because it deletes more rows than allowed without a confirmation. */
  unconfirmed: ColumnType<boolean, never, boolean>;
  /** Where to continue; see JobProgress. */
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

/** The last row that a job has completed. */
export interface JobProgress {
  /** Its key as SQL literals for the source; null when all rows of the source were read. */
  readonly after: readonly string[] | null;
  /** Its key, each value as text in PostgreSQL's input format. */
  readonly afterKey: readonly string[] | null;
  /** `source`: it reads the rows of the source. `target`: it looks for rows that only the target has. */
  readonly side: 'source' | 'target';
}

/** A row that differs. */
export interface JobExample {
  readonly what: 'missing' | 'extra' | 'different';
  /** Null if the key holds text, because text may hold anything. */
  readonly key: string | null;
}

/** What the running service reports about itself, each second. */
export interface StatusTable {
  singleton: OneRow;
  state: string;
  updated_at: Instant;
  detail: ColumnType<Record<string, unknown>, string, string>;
}

/** The append-only audit: who started what and when, never a value. */
export interface EventsTable {
  id: ColumnType<string, never, never>;
  at: ColumnType<Date, never, never>;
  kind: string;
  detail: ColumnType<Record<string, unknown>, string, string>;
}
