import { type RawBuilder, sql } from 'kysely';
import type { JobExample, JobKind, JobProgress, JobState } from './control-schema.ts';
import { type EventKind, stamp } from './events.ts';
import type { Reading } from '../session.ts';
import type { Fenced, Writable } from './writing.ts';

/** A request to read a table, or a part of it, again while it streams. It repairs the target or only compares it. */
export interface Job {
  readonly id: string;
  readonly table: string;
  readonly kind: JobKind;
  readonly repair: boolean;
  readonly condition: string | null;
  readonly confirmed: boolean;
  readonly state: JobState;
  /** Why it failed, or was cancelled, or waits. */
  readonly reason: string | null;
  /** It failed because it would delete more rows than allowed without a confirmation. */
  readonly unconfirmed: boolean;
  readonly progress: JobProgress | null;
  readonly estimatedRows: number;
  readonly counts: JobCounts;
  readonly examples: readonly JobExample[];
  readonly requestedBy: string;
  readonly requestedAt: Date;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}

/** Whether the job reads the complete table to repair it. */
export function readsAll({ kind, condition }: Job): boolean {
  return kind === 'backfill' && condition === null;
}

/** The counts of a job so far, in rows. */
export interface JobCounts {
  /** Read from the source. */
  readonly rows: number;
  /** Rows that only the source had. */
  readonly missing: number;
  /** Rows that only the target had. */
  readonly extra: number;
  /** Rows that both had, with other values. */
  readonly different: number;
  /** Rows that changed too often to be compared. The stream writes each of their changes in full. */
  readonly changing: number;
  /** Rows that cannot be copied exactly: dead letters. */
  readonly rejected: number;
  /** Differences that were repaired. */
  readonly repaired: number;
}

/** The requesters of jobs that no person requested: the schedule, and the return of a table. */
export const schedule = 'schedule';
export const tableLife = 'table life';
export const resyncAlone = 'RESYNC=auto';

/** No person requested the job, so nobody has agreed to what it deletes. */
export function isAutomatic({ requestedBy }: Job): boolean {
  return requestedBy === schedule || requestedBy === tableLife || requestedBy === resyncAlone;
}

/** Jobs that wait or run, oldest first. */
export async function openJobs(db: Reading): Promise<Job[]> {
  return await select(db, (query) => query.where('state', 'in', ['waiting', 'running']));
}

export async function readJobs(db: Reading, ids: readonly string[]): Promise<Job[]> {
  return ids.length === 0 ? [] : await select(db, (query) => query.where('id', 'in', ids));
}

export async function latestJobs(db: Reading, limit: number): Promise<Job[]> {
  const jobs = await select(db, (query) => query.orderBy('id', 'desc').limit(limit));
  return jobs.toSorted((a, b) => Number(BigInt(a.id) - BigInt(b.id)));
}

/** The last complete comparison of all rows of each table: a verification or a backfill. */
export async function lastVerifications(db: Reading): Promise<Job[]> {
  return await select(db, (query) =>
    query
      .distinctOn('table_name')
      .where('kind', 'in', ['verify', 'backfill'])
      .where('state', '=', 'done')
      .where('condition', 'is', null)
      .orderBy('table_name')
      .orderBy('id', 'desc'),
  );
}

/** The failed jobs of complete tables that no later job of the same table made up for. */
export async function lastFailures(db: Reading): Promise<Job[]> {
  const last = await select(db, (query) =>
    query
      .distinctOn('table_name')
      .where('kind', '!=', 'retry')
      .where('state', 'in', ['done', 'failed'])
      .where('condition', 'is', null)
      .orderBy('table_name')
      .orderBy('id', 'desc'),
  );
  return last.filter(({ state }) => state === 'failed');
}

/** Whether each row of the table was equal at source and target after this verification, or was repaired. */
export function isEqual({ state, repair, counts }: Job): boolean {
  const differences = counts.missing + counts.extra + counts.different;
  return (
    state === 'done' && counts.rejected === 0 && (differences === 0 || (repair && counts.repaired === differences))
  );
}

function all(db: Reading) {
  return db.selectFrom('jobs').selectAll();
}

async function select(db: Reading, narrow: (query: ReturnType<typeof all>) => ReturnType<typeof all>): Promise<Job[]> {
  const rows = await narrow(all(db)).orderBy('id').execute();
  return rows.map((row) => ({
    id: row.id,
    table: row.table_name,
    kind: row.kind,
    repair: row.repair,
    condition: row.condition,
    confirmed: row.confirmed,
    state: row.state,
    reason: row.reason,
    unconfirmed: row.unconfirmed,
    progress: row.progress,
    estimatedRows: Number(row.estimated_rows),
    counts: {
      rows: Number(row.rows),
      missing: Number(row.missing),
      extra: Number(row.extra),
      different: Number(row.different),
      changing: Number(row.changing),
      rejected: Number(row.rejected),
      repaired: Number(row.repaired),
    },
    examples: row.examples,
    requestedBy: row.requested_by,
    requestedAt: row.requested_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
  }));
}

/** Marks a job as running. Returns false if it has already ended. */
export async function beginJob(trx: Fenced, id: string, estimatedRows: number): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('jobs')
    .set({
      state: 'running',
      reason: null,
      estimated_rows: estimatedRows,
      started_at: sql`coalesce(started_at, now())`,
      updated_at: sql`now()`,
    })
    .where('id', '=', id)
    .where('state', 'in', ['waiting', 'running'])
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** Returns a job to waiting, for a reason that passes by itself. */
export async function delayJob(trx: Fenced, id: string, reason: string): Promise<void> {
  await trx
    .updateTable('jobs')
    .set({ state: 'waiting', reason, updated_at: sql`now()` })
    .where('id', '=', id)
    .where('state', '=', 'running')
    .execute();
}

/** Records the progress of a job. Returns false if somebody has cancelled it. */
export async function advanceJob(
  trx: Fenced,
  id: string,
  progress: JobProgress,
  counts: JobCounts,
  examples: readonly JobExample[],
): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('jobs')
    .set({ ...counts, progress: JSON.stringify(progress), examples: JSON.stringify(examples), updated_at: sql`now()` })
    .where('id', '=', id)
    .where('state', '=', 'running')
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** Records the counts of a job. */
export async function countJob(trx: Fenced, id: string, counts: JobCounts): Promise<void> {
  await trx
    .updateTable('jobs')
    .set({ ...counts })
    .where('id', '=', id)
    .execute();
}

/** How a job ended. */
interface End {
  readonly state: 'done' | 'failed' | 'cancelled';
  readonly reason: string | null;
  readonly unconfirmed?: boolean;
}

/** Ends a job. Returns false if it has already ended. */
export async function endJob(trx: Writable, id: string, end: End): Promise<boolean> {
  return (await endThose(trx, sql`id = ${id}`, end)) === 1;
}

/** Fails the open jobs of a table that can no longer be done. */
export async function endJobsOf(trx: Writable, table: string, reason: string): Promise<void> {
  await endThose(trx, sql`table_name = ${table}`, { state: 'failed', reason });
}

/** Ends jobs and records the events in one statement. Returns how many were ended. */
async function endThose(
  trx: Writable,
  those: RawBuilder<unknown>,
  { state, reason, unconfirmed }: End,
): Promise<number> {
  const { numAffectedRows } = await sql`
    with ended as (
      update ${sql.table('jobs')}
         set state = ${state}, reason = ${reason}, unconfirmed = ${unconfirmed ?? false}, finished_at = now(), updated_at = now()
       where ${those} and state in ('waiting', 'running')
       returning *)
    insert into ${sql.table('events')} (kind, detail)
    select ${'job-ended' satisfies EventKind},
           jsonb_strip_nulls(jsonb_build_object(
             'job', id::text, 'table', table_name, 'kind', kind, 'repair', repair, 'part', condition is not null,
             'requestedBy', requested_by, 'state', state, 'reason', reason, 'rows', rows, 'missing', missing, 'extra', extra,
             'different', different, 'changing', changing, 'rejected', rejected, 'repaired', repaired))
           || ${JSON.stringify(stamp())}::jsonb
      from ended`.execute(trx);
  return Number(numAffectedRows ?? 0);
}
