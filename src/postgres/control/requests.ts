import { sql } from 'kysely';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { WritingSession } from '../session.ts';
import type { JobKind } from './control-schema.ts';
import { recordEvent, who } from './events.ts';
import { endJob, readJobs, tableLife } from './jobs.ts';
import type { Fenced, Requested, Writable } from './writing.ts';

/**
 * The one way for a command to write at the target: what a person asks for, in the control tables. The lease holder does the rest. Runs
 * `work` in a transaction and commits it.
 */
export async function request<T>(session: WritingSession, work: (trx: Requested) => Promise<T>): Promise<T> {
  return await session.transaction(async (trx) => await work(trx as Requested));
}

export interface JobRequest {
  readonly kind: JobKind;
  readonly repair: boolean;
  readonly condition: string | null;
  readonly confirmed: boolean;
}

/** Requests one job for each table and returns their ids. The lease holder runs them. */
export async function requestJobs(
  trx: Writable,
  tables: readonly string[],
  request: JobRequest,
  requestedBy = who(),
): Promise<string[]> {
  if (tables.length === 0) return [];
  const rows = await trx
    .insertInto('jobs')
    .values(
      tables.map((table) => ({
        table_name: table,
        ...request,
        state: 'waiting' as const,
        requested_by: requestedBy,
        estimated_rows: 0,
      })),
    )
    .returning('id')
    .execute();
  return rows.map(({ id }) => id);
}

/** Requests the job that reads a new or returning table. */
export async function requestReturn(trx: Fenced, table: string): Promise<void> {
  await requestJobs(trx, [table], { kind: 'backfill', ...ofTableLife }, tableLife);
}

/** Requests a verification with repair, unless one waits already. */
export async function requestRepair(trx: Fenced, table: string): Promise<void> {
  const waiting = await trx
    .selectFrom('jobs')
    .select('id')
    .where('table_name', '=', table)
    .where('state', '=', 'waiting')
    .where('kind', 'in', ['verify', 'backfill'])
    .where('repair', '=', true)
    .where('condition', 'is', null)
    .executeTakeFirst();
  if (waiting !== undefined) return;
  await requestJobs(trx, [table], { kind: 'verify', ...ofTableLife }, tableLife);
}

/** Nobody has agreed to what such a job deletes. */
const ofTableLife = { repair: true, condition: null, confirmed: false } as const;

/** Cancels those jobs that have not ended, and returns their number. Repaired rows stay repaired. Raises refused for an unknown id. */
export async function cancelJobs(session: WritingSession, ids: readonly string[]): Promise<number> {
  const known = new Set((await readJobs(session.db, ids)).map(({ id }) => id));
  const unknown = ids.filter((id) => !known.has(id));
  if (unknown.length > 0)
    throw new TidegateError('refused', `there is no job ${unknown.join(', ')}`, {
      hint: '`tidegate jobs` lists them.',
    });
  return await request(session, async (trx) => {
    let cancelled = 0;
    for (const id of ids) if (await endJob(trx, id, { state: 'cancelled', reason: `by ${who()}` })) cancelled++;
    return cancelled;
  });
}

/** Pauses or resumes the lease holder, which reads this at the next renewal of its lease. */
export async function setPaused(trx: Requested, paused: boolean): Promise<void> {
  const by = who();
  await trx
    .insertInto('controls')
    .values({ paused, changed_by: by })
    .onConflict((conflict) =>
      conflict.column('singleton').doUpdateSet({ paused, changed_by: by, changed_at: sql`now()` }),
    )
    .execute();
  await recordEvent(trx, paused ? 'paused' : 'resumed');
}
