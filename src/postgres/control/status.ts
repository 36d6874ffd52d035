import { hostname } from 'node:os';
import { sql } from 'kysely';
import { z } from 'zod';
import packageJson from '../../../package.json' with { type: 'json' };
import type { Decision, LeftOutGroup, TableState } from './control-schema.ts';
import { type Checkpoint, readCheckpoint } from './checkpoint.ts';
import { type ConvertedColumn, readConversions } from './conversions.ts';
import { type DeadLetterGroup, groupDeadLetters } from './dead-letter-list.ts';
import { type RecordedEvent, latestEvents } from './events.ts';
import { type Job, lastFailures, lastVerifications, openJobs } from './jobs.ts';
import { readLeftOut } from './left-out.ts';
import { hasControlTable } from './migrate.ts';
import type { Reading, WritingSession } from '../session.ts';

/** A running service writes its status each second. A status older than this is not from a running service. */
const freshSeconds = 10;

/** What a service reports about itself, for `lag` and for its standby. Another version may have written only a part of it. */
const statusDetail = z.object({
  reason: z.string().nullable(),
  remedy: z.string().nullable().default(null),
  rowsPerSecond: z.number(),
  secondsToCatchUp: z.number().nullable(),
  snapshot: z
    .object({
      tables: z.number(),
      tablesDone: z.number(),
      rows: z.number(),
      estimatedRows: z.number(),
      percent: z.number(),
      rowsPerSecond: z.number().nullable().default(null),
      secondsLeft: z.number().nullable().default(null),
    })
    .nullable(),
  /** The server of the heads. A head is clock, file and offset. */
  identity: z.string().nullable(),
  heads: z.array(z.tuple([z.number(), z.string(), z.number()])),
});
export type StatusDetail = z.output<typeof statusDetail>;
export type SnapshotStatus = NonNullable<StatusDetail['snapshot']>;

/** What the control schema records about a replica. */
export interface ReplicaStatus {
  readonly checkpoint: Checkpoint | null;
  /** The last status of the service; null if there is none. */
  readonly service: { readonly state: string; readonly ageSeconds: number; readonly isFresh: boolean } | null;
  readonly detail: StatusDetail | null;
}

/** All null if there is no replica. */
export async function readReplicaStatus(db: Reading): Promise<ReplicaStatus> {
  if (!(await isMigrated(db))) return { checkpoint: null, service: null, detail: null };
  const checkpoint = await readCheckpoint(db);
  const status = await db
    .selectFrom('status')
    .select(['state', 'detail', sql<number>`extract(epoch from clock_timestamp() - updated_at)::float8`.as('age')])
    .executeTakeFirst();
  return {
    checkpoint,
    service:
      status === undefined ? null : { state: status.state, ageSeconds: status.age, isFresh: status.age < freshSeconds },
    detail: statusDetail.safeParse(status?.detail).data ?? null,
  };
}

/** Records what the service does. */
export async function writeStatus(session: WritingSession, state: string, detail: StatusDetail): Promise<void> {
  if (!(await isMigrated(session.db))) return;
  const values = {
    state,
    updated_at: sql<Date>`clock_timestamp()`,
    detail: JSON.stringify({ ...detail, host: hostname(), pid: process.pid, version: packageJson.version }),
  };
  // One statement is a transaction. A connection that froze before the commit would keep the row locked for every later report.
  await session.all
    .insertInto('status')
    .values(values)
    .onConflict((conflict) => conflict.column('singleton').doUpdateSet(values))
    .execute();
}

/** Findings about the tables, besides their progress. */
export interface Findings {
  readonly tables: readonly TableStatus[];
  /** Null: no service of this version has looked at the source yet. */
  readonly leftOut: readonly LeftOutGroup[] | null;
  readonly deadLetters: readonly DeadLetterGroup[];
  readonly conversions: readonly ConvertedColumn[];
  readonly jobs: readonly Job[];
  readonly verifications: readonly Job[];
  readonly failedJobs: readonly Job[];
  /** Newest first. */
  readonly events: readonly RecordedEvent[];
}

export interface TableStatus {
  readonly table: string;
  readonly state: TableState;
  readonly reason: string | null;
  readonly copiedRows: number;
  /** When a suspended table is tried again; null: it waits for a person. */
  readonly retryAt: Date | null;
  readonly decision: Decision | null;
}

const eventsKept = 50;

const noFindings: Findings = {
  ...{
    tables: [],
    leftOut: null,
    deadLetters: [],
    conversions: [],
    jobs: [],
    verifications: [],
    failedJobs: [],
    events: [],
  },
};

export async function readFindings(db: Reading): Promise<Findings> {
  if (!(await isMigrated(db))) return noFindings;
  const tables = await db.selectFrom('tables').selectAll().orderBy('table_name').execute();
  // Excluded tables need no attention.
  const excluded = new Set(tables.filter(({ state }) => state === 'excluded').map(({ table_name }) => table_name));
  const kept = <T extends { readonly table: string }>(found: readonly T[]) =>
    found.filter(({ table }) => !excluded.has(table));
  const listed = tables.map(({ table_name, state, reason, copied_rows, retry_at, decision }) => ({
    ...{ table: table_name, state, reason, copiedRows: Number(copied_rows) },
    // These columns are missing until the control schema is migrated, and `lag` does not migrate it.
    ...{ retryAt: retry_at ?? null, decision: decision ?? null },
  }));
  return {
    tables: listed,
    leftOut: await readLeftOut(db, listed),
    deadLetters: kept(await groupDeadLetters(db)),
    conversions: await readConversions(db),
    jobs: await openJobs(db),
    verifications: kept(await lastVerifications(db)),
    failedJobs: kept(await lastFailures(db)),
    events: await latestEvents(db, eventsKept),
  };
}

/** False before the first `run` of this version. `lag` may be called earlier. */
async function isMigrated(db: Reading): Promise<boolean> {
  return await hasControlTable(db, 'jobs');
}
