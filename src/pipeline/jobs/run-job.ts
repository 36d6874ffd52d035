import type { Position } from '../../change/position.ts';
import type { Config } from '../../config/config.ts';
import { backoff, sleep } from '../../lifetime/backoff.ts';
import { errorKinds } from '../../errors/error-kinds.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { type Scope, inPart } from '../../lifetime/scope.ts';
import { type ServerFlavor, openOn } from '../../mysql/server-flavor.ts';
import { Fence } from '../../postgres/control/fence.ts';
import {
  type Job,
  type JobCounts,
  beginJob,
  countJob,
  delayJob,
  endJob,
  readJobs,
  readsAll,
  tableLife,
} from '../../postgres/control/jobs.ts';
import { retryDeadLetters } from '../../postgres/rows/dead-letter-actions.ts';
import { finishBackfill, readTables, suspendTable } from '../../postgres/control/table-states.ts';
import { readCondition } from './where-condition.ts';
import type { ConsistentReads } from './consistent-reads.ts';
import { fitTable } from './fit-table.ts';
import { JobOver, TableComparison } from './table-comparison.ts';
import type { ServiceListener } from '../service-listener.ts';
import type { StreamView } from '../stream/stream-view.ts';
import { TableRedefined, refresh } from './refresh.ts';
import type { PlannedTable } from '../begin/table-plan.ts';
import type { Throttle } from '../read/throttle.ts';

/** What a job works with. */
export interface JobTools {
  readonly config: Config;
  readonly epoch: bigint;
  readonly server: ServerFlavor;
  readonly live: StreamView;
  readonly reads: ConsistentReads;
  readonly throttle: Throttle;
  readonly listener: ServiceListener;
}

/** The table of a job. It is streamed from a position on; null: it is in full refresh. */
export interface TableOfJob extends PlannedTable {
  readonly from: Position | null;
}

/**
 * Does one job to its end. Retries failures that pass by themselves: the source is slow to release a lock, or closes a connection.
 * Resolves with true when the stream must learn of a change: the table was suspended for the job, or its definition differs from the
 * known one. Rejects for failures that concern more than this job.
 */
export async function runJob(scope: Scope, tools: JobTools, job: Job, table: TableOfJob): Promise<boolean> {
  const { signal } = scope;
  let rows = -1;
  for (let failures = 0; ;) {
    try {
      return await withFence(scope, tools, async (fence, part) => {
        const present = await readJob(fence, job);
        return await attempt(part, tools, fence, present, table);
      });
    } catch (error) {
      if (signal.aborted || !isPassing(error)) throw error;
      const present = await withFence(scope, tools, async (fence) => {
        await fence.transaction(async (trx) => await delayJob(trx, job.id, error.message));
        return await readJob(fence, job);
      });
      failures = present.counts.rows > rows ? 1 : failures + 1;
      rows = present.counts.rows;
      tools.listener.job({ ...present, state: 'waiting', reason: error.message });
      await sleep(backoff(failures), signal);
      signal.throwIfAborted();
    }
  }
}

/** Runs `work` in a session that only one job uses. */
async function withFence<T>(
  scope: Scope,
  { config, epoch }: JobTools,
  work: (fence: Fence, part: Scope) => Promise<T>,
): Promise<T> {
  return await inPart(scope, async (part) => await work(await Fence.open(part, config.target, 'jobs', epoch), part));
}

/** The present state of the job. */
async function readJob({ session }: Fence, job: Job): Promise<Job> {
  const [present] = await readJobs(session.db, [job.id]);
  return present ?? job;
}

function isPassing(error: unknown): error is TidegateError {
  return error instanceof TidegateError && error.action === 'retry' && error.kind !== 'lease-lost';
}

async function attempt(scope: Scope, tools: JobTools, fence: Fence, job: Job, table: TableOfJob): Promise<boolean> {
  const { signal } = scope;
  const { live, reads, listener } = tools;
  let counts = job.counts;
  try {
    // The stream brings this table's changes from here on. Its keys are recorded from a moment when no transaction is partly applied.
    if (table.from !== null)
      await live.at(table.from, async () => await Promise.resolve(reads.begin(job.table, table.engine)), signal);
    const isBegun = await fence.transaction(async (trx) => await beginJob(trx, job.id, table.estimatedRows));
    if (!isBegun) return false;
    listener.job({ ...job, state: 'running', reason: null, estimatedRows: table.estimatedRows });
    if (readsAll(job) && table.from !== null) await fitTable(tools.config, fence, job, table.codec);
    await perform(scope, tools, fence, job, table, (found) => {
      counts = found;
    });
    await fence.transaction(async (trx) => {
      await countJob(trx, job.id, counts);
      if (!(await endJob(trx, job.id, { state: 'done', reason: null }))) return;
      if (readsAll(job)) await finishBackfill(trx, job.table);
    });
    listener.job({ ...job, state: 'done', counts });
    return false;
  } catch (error) {
    if (error instanceof JobOver) return false;
    if (error instanceof TableRedefined) return true;
    if (signal.aborted || !(error instanceof TidegateError) || error.action !== 'operator') throw error;
    // If the definition changed while the table was read, the stream brings that change, too, and suspends the table.
    await live.at(await reads.head(), async () => await Promise.resolve(), signal);
    if (live.suspended.has(job.table)) return false;
    return await failJob(tools, fence, { ...job, counts }, reasonOf(error), {
      isUnconfirmed: error.kind === 'unconfirmed',
      isUnread: error.kind === 'source-table',
      isBlocked: error.kind === 'target-foreign' || error.kind === 'target-privilege',
    });
  }
}

async function perform(
  scope: Scope,
  tools: JobTools,
  fence: Fence,
  job: Job,
  table: TableOfJob,
  found: (counts: JobCounts) => void,
): Promise<void> {
  const { config, server, throttle } = tools;
  const { signal } = scope;
  if (job.kind === 'retry') {
    found({ ...job.counts, ...(await retryDeadLetters(fence, table.codec)) });
    return;
  }
  const connection = { reader: await openOn(scope, config.source, 'reader', server) };
  if (table.from === null) {
    found({ ...job.counts, ...(await refresh(config, job, table, connection, fence, throttle, signal)) });
    return;
  }
  const condition = job.condition === null ? null : readCondition(job.condition, table.codec.schema);
  const comparison = new TableComparison(job, { ...tools, connection, fence, scope }, table, condition);
  try {
    await comparison.run();
  } finally {
    found(comparison.counts);
  }
}

function reasonOf({ kind, message, hint }: TidegateError): string {
  return hint === errorKinds[kind].hint && kind === 'refused' ? message : `${message}. ${hint}`;
}

/** What a failure of a job means beyond the job. */
interface Failure {
  /** It would delete more rows than allowed without a confirmation. */
  readonly isUnconfirmed: boolean;
  /** The source cannot return the table's rows. */
  readonly isUnread: boolean;
  /** Somebody else's object is in the way, or rights are missing. */
  readonly isBlocked: boolean;
}

const ofJobAlone: Failure = { isUnconfirmed: false, isUnread: false, isBlocked: false };

/**
 * Ends a job as failed, and keeps its counts. If its table is incomplete without it, may be unequal since a crash of the source, or cannot be
 * written, suspends the table and resolves with true.
 */
export async function failJob(
  { listener }: JobTools,
  fence: Fence,
  job: Job,
  reason: string,
  { isUnconfirmed, isUnread, isBlocked }: Failure = ofJobAlone,
): Promise<boolean> {
  const isSuspended = await fence.transaction(async (trx) => {
    await countJob(trx, job.id, job.counts);
    await endJob(trx, job.id, { state: 'failed', reason, unconfirmed: isUnconfirmed });
    const state = (await readTables(trx)).find(({ table }) => table === job.table)?.state;
    const isIncomplete = state === 'backfilling' && readsAll(job);
    // The repair of the source's table need not be in the binlog. The return of the table finds it.
    const isInDoubt = isUnread && state === 'streaming' && job.requestedBy === tableLife;
    const isHeld = isBlocked && (state === 'streaming' || state === 'full-refresh');
    if (!isIncomplete && !isInDoubt && !isHeld) return false;
    await suspendTable(trx, job.table, reason, isUnconfirmed ? 'confirm-deletions' : null);
    return true;
  });
  listener.job({ ...job, state: 'failed', reason });
  if (isSuspended) listener.suspended(job.table, reason);
  return isSuspended;
}
