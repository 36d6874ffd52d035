import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, ClientConfig } from 'pg';
import { whileTargetConnected } from '../support/while-connected.ts';

/** A job to request, as the commands do. */
export interface AskedJob {
  readonly table: string;
  readonly kind: 'backfill' | 'verify';
  readonly repair: boolean;
  readonly condition: string | null;
}

export interface EndedJob {
  readonly table: string;
  readonly kind: string;
  readonly repair: boolean;
  readonly repaired: number;
  readonly differences: number;
}

export function backfillOf(table: string, condition: string | null = null): AskedJob {
  return { table, kind: 'backfill', repair: true, condition };
}

export function verificationOf(table: string, repair = false): AskedJob {
  return { table, kind: 'verify', repair, condition: null };
}

/** Requests jobs in one statement and returns their ids. */
export async function requestJobs(target: Client, asked: readonly AskedJob[]): Promise<string[]> {
  const { rows } = await target.query<{ id: string }>(
    `insert into tidegate_raw.jobs (table_name, kind, repair, condition, confirmed, state, requested_by)
     select j."table", j.kind, j.repair, j.condition, true, 'waiting', 'test'
       from json_to_recordset($1) as j("table" text, kind text, repair boolean, condition text) returning id`,
    [JSON.stringify(asked)],
  );
  return rows.map(({ id }) => id);
}

/** The results of the jobs, null until all have ended; throws if one failed. */
export async function endedOf(target: Client, ids: readonly string[]): Promise<EndedJob[] | null> {
  const { rows } = await target.query<EndedJob & { state: string; reason: string | null }>(
    `select state, reason, table_name as "table", kind, repair, repaired::int, (missing + extra + different)::int as differences
       from tidegate_raw.jobs where id = any($1::bigint[])`,
    [ids],
  );
  const failed = rows.find(({ state }) => state === 'failed' || state === 'cancelled');
  if (failed !== undefined) throw new Error(`a job of ${failed.table} ${failed.state}: ${failed.reason}`);
  return rows.every(({ state }) => state === 'done') ? rows : null;
}

/** Jobs that wait or run. */
export async function openJobs(target: Client): Promise<number> {
  const { rows } = await target.query<{ open: number }>(
    `select count(*)::int as open from tidegate_raw.jobs where state in ('waiting', 'running')`,
  );
  return rows[0]?.open ?? 0;
}

/** The jobs that were done so far. */
export async function doneJobs(
  target: Client,
): Promise<{ readonly backfills: number; readonly verifications: number; readonly repaired: number }> {
  const { rows } = await target.query<Awaited<ReturnType<typeof doneJobs>>>(
    `select count(*) filter (where kind = 'backfill')::int as backfills, count(*) filter (where kind = 'verify')::int as verifications,
            coalesce(sum(repaired), 0)::int as repaired
       from tidegate_raw.jobs where state = 'done'`,
  );
  return rows[0] ?? { backfills: 0, verifications: 0, repaired: 0 };
}

/** What the replica does not carry as it should: jobs that failed, rows and tables that were refused. */
export async function refusals(target: Client): Promise<string[]> {
  const { rows } = await target.query<{ what: string }>(
    `select format('job %s of %s %s: %s', id, table_name, state, reason) as what
       from tidegate_raw.jobs where state in ('failed', 'cancelled')
     union all
     select format('table %s is %s: %s', table_name, state, reason)
       from tidegate_raw.tables where state not in ('streaming', 'full-refresh')
     union all
     select format('%s dead letters of table %s', count(*), table_name) from tidegate_raw.dead_letters group by table_name`,
  );
  return rows.map(({ what }) => what);
}

/** Requests a few jobs, waits for their ends, and requests others, until `signal` aborts. Leaves open what is open then. */
export async function jobsAgainAndAgain(
  target: ClientConfig,
  signal: AbortSignal,
  ask: () => readonly AskedJob[],
  ended: (job: EndedJob) => void,
): Promise<void> {
  let requested: string[] | null = null;
  await whileTargetConnected(target, signal, async (session) => {
    while (!signal.aborted) {
      requested ??= await requestJobs(session, ask());
      const jobs = await endedOf(session, requested);
      if (jobs === null) {
        await sleep(50);
        continue;
      }
      requested = null;
      for (const job of jobs) ended(job);
    }
  });
}

/** Counts jobs of tables that nobody else writes to at the target. */
export class JobTally {
  /** Jobs that ended, by kind. */
  readonly done: Record<string, number> = {};
  /** Verifications that found a difference. */
  readonly wrong: string[] = [];

  add({ table, kind, repair, differences }: EndedJob): void {
    const name = kind === 'verify' && repair ? 'verify --repair' : kind;
    this.done[name] = (this.done[name] ?? 0) + 1;
    if (kind === 'verify' && differences > 0) this.wrong.push(`${name} of ${table}: ${differences} differences`);
  }

  get count(): number {
    return Object.values(this.done).reduce((sum, count) => sum + count, 0);
  }
}
