import { sql } from 'kysely';
import { TidegateError } from '../errors/tidegate-error.ts';
import type { JobExample, JobKind, JobProgress, JobState } from './control-schema.ts';
import { who } from './events.ts';
import type { Target } from './session.ts';

/** A table, or a part of it, that is to be read again while it streams: to mend the target, or to compare it only. */
export interface Job {
  readonly id: string;
  readonly table: string;
  readonly kind: JobKind;
  readonly repair: boolean;
  readonly condition: string | null;
  readonly confirmed: boolean;
  readonly state: JobState;
  readonly reason: string | null;
  /** It would have deleted more rows than may be without a confirmation. */
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

/** What a job found so far, in rows. */
export interface JobCounts {
  /** Read from the source. */
  readonly rows: number;
  /** Only the source had them. */
  readonly missing: number;
  /** Only the target had them. */
  readonly extra: number;
  /** Both had them, with other values. */
  readonly different: number;
  /** They changed too often to be compared; the stream writes each change of them in full. */
  readonly changing: number;
  /** They cannot be carried: dead letters. */
  readonly rejected: number;
  /** Differences that were mended. */
  readonly repaired: number;
}

export const noCounts: JobCounts = {
  rows: 0,
  missing: 0,
  extra: 0,
  different: 0,
  changing: 0,
  rejected: 0,
  repaired: 0,
};

export interface JobRequest {
  readonly kind: JobKind;
  readonly repair: boolean;
  readonly condition: string | null;
  readonly confirmed: boolean;
}

/** Asks for one job for each table and returns their ids. Whoever leads does them. */
export async function requestJobs(
  db: Target,
  replica: string,
  tables: readonly string[],
  request: JobRequest,
): Promise<string[]> {
  if (tables.length === 0) return [];
  const rows = await db
    .insertInto('tidegate.jobs')
    .values(
      tables.map((table) => ({
        replica,
        table_name: table,
        ...request,
        state: 'waiting' as const,
        requested_by: who(),
        estimated_rows: 0,
      })),
    )
    .returning('id')
    .execute();
  return rows.map(({ id }) => id);
}

/** Jobs that wait or run, the oldest first. */
export async function openJobs(db: Target, replica: string): Promise<Job[]> {
  return await select(db, replica, (query) => query.where('state', 'in', ['waiting', 'running']));
}

export async function readJobs(db: Target, replica: string, ids: readonly string[]): Promise<Job[]> {
  return ids.length === 0 ? [] : await select(db, replica, (query) => query.where('id', 'in', ids));
}

export async function latestJobs(db: Target, replica: string, limit: number): Promise<Job[]> {
  const jobs = await select(db, replica, (query) => query.orderBy('id', 'desc').limit(limit));
  return jobs.toSorted((a, b) => Number(BigInt(a.id) - BigInt(b.id)));
}

/** The last verification of all rows of each table that came to its end. */
export async function lastVerifications(db: Target, replica: string): Promise<Job[]> {
  return await select(db, replica, (query) =>
    query
      .distinctOn('table_name')
      .where('kind', '=', 'verify')
      .where('state', '=', 'done')
      .where('condition', 'is', null)
      .orderBy('table_name')
      .orderBy('id', 'desc'),
  );
}

function all(db: Target, replica: string) {
  return db.selectFrom('tidegate.jobs').selectAll().where('replica', '=', replica);
}

async function select(
  db: Target,
  replica: string,
  narrow: (query: ReturnType<typeof all>) => ReturnType<typeof all>,
): Promise<Job[]> {
  const rows = await narrow(all(db, replica)).orderBy('id').execute();
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

export async function beginJob(db: Target, id: string, estimatedRows: number): Promise<void> {
  await db
    .updateTable('tidegate.jobs')
    .set({
      state: 'running',
      estimated_rows: estimatedRows,
      started_at: sql`coalesce(started_at, now())`,
      updated_at: sql`now()`,
    })
    .where('id', '=', id)
    .where('state', 'in', ['waiting', 'running'])
    .execute();
}

/** How far a job is. False: somebody has cancelled it. */
export async function advanceJob(
  db: Target,
  id: string,
  progress: JobProgress,
  counts: JobCounts,
  examples: readonly JobExample[],
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('tidegate.jobs')
    .set({ ...counts, progress: JSON.stringify(progress), examples: JSON.stringify(examples), updated_at: sql`now()` })
    .where('id', '=', id)
    .where('state', '=', 'running')
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** Ends a job that is not ended yet. False: it was. */
export async function endJob(
  db: Target,
  id: string,
  state: 'done' | 'failed' | 'cancelled',
  reason: string | null,
  unconfirmed = false,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('tidegate.jobs')
    .set({ state, reason, unconfirmed, finished_at: sql`now()`, updated_at: sql`now()` })
    .where('id', '=', id)
    .where('state', 'in', ['waiting', 'running'])
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** What was to be done with a table cannot be any more. */
export async function endJobsOf(db: Target, replica: string, table: string, reason: string): Promise<void> {
  await db
    .updateTable('tidegate.jobs')
    .set({ state: 'failed', reason, finished_at: sql`now()`, updated_at: sql`now()` })
    .where('replica', '=', replica)
    .where('table_name', '=', table)
    .where('state', 'in', ['waiting', 'running'])
    .execute();
}

/** Cancels what of these is not ended; the rows that were mended stay mended. Raises refused for a number that is no job. */
export async function cancelJobs(db: Target, replica: string, ids: readonly string[]): Promise<number> {
  const known = new Set((await readJobs(db, replica, ids)).map(({ id }) => id));
  const unknown = ids.filter((id) => !known.has(id));
  if (unknown.length > 0)
    throw new TidegateError('refused', `there is no job ${unknown.join(', ')}`, {
      hint: '`tidegate jobs` lists them.',
    });
  let cancelled = 0;
  for (const id of ids) if (await endJob(db, id, 'cancelled', `by ${who()}`)) cancelled++;
  return cancelled;
}
