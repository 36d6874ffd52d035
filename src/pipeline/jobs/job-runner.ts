import type { Config } from '../../config/config.ts';
import { sleep } from '../../lifetime/backoff.ts';
import { OnDemandConnection } from '../../mysql/on-demand-connection.ts';
import { ReplicaLag } from '../../mysql/replica-lag.ts';
import { type ServerFlavor, openOn } from '../../mysql/server-flavor.ts';
import { requestDueRefreshes, requestDueVerification } from '../../postgres/control/due-jobs.ts';
import { type Job, openJobs, readsAll } from '../../postgres/control/jobs.ts';
import { sessionName } from '../../postgres/control/lease.ts';
import { type Target, TargetSession } from '../../postgres/session.ts';
import { type KnownTable, readStates, readTables } from '../../postgres/control/table-states.ts';
import { ConsistentReads } from './consistent-reads.ts';
import type { ReplicatorListener } from '../listener.ts';
import type { LiveStream } from '../stream/live-stream.ts';
import { knownCodec } from '../../mapping/table-codec.ts';
import { type JobTools, failJob, runJob } from './run-job.ts';
import type { PlannedTable } from '../begin/table-plan.ts';
import { Throttle } from '../read/throttle.ts';

/** How soon a request is heard. */
const pollMs = 500;
/** How often the schedule is looked at. */
const scheduleMs = 5_000;

export interface JobRunnerOptions {
  readonly config: Config;
  readonly epoch: bigint;
  readonly server: ServerFlavor;
  readonly live: LiveStream;
  /** Tables as the catalog had them when the stream began. */
  readonly planned: ReadonlyMap<string, PlannedTable>;
  /** Whether the work is done, so that the stream may end, with these jobs still open. */
  readonly isDone: (open: readonly Job[]) => boolean;
  readonly listener: ReplicatorListener;
  readonly signal: AbortSignal;
  readonly hangUp: AbortSignal;
}

/**
 * Does what is asked for in the control schema, beside the stream: a few tables at the same time, each by one job at a time. A
 * failure that is one job's own ends that job; one that is not ends the stream, and the jobs go on where they were when it begins
 * again. Resolves with `again` when a table has to be taken in first, or given up.
 */
export async function runJobs(options: JobRunnerOptions): Promise<'done' | 'again'> {
  const { config, epoch, signal, hangUp } = options;
  const replica = config.target.schema;
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);
  const session = await TargetSession.open(config.target, sessionName('jobs', replica, epoch), hangUp);
  const replicator = new OnDemandConnection(async () => await openOn(config.source, 'replicator', options.server));
  const reads = new ConsistentReads(config.source, options.live, options.server, replicator, stop);
  const throttle = new Throttle(config.snapshotWindow, new ReplicaLag(replicator), options.listener);
  const tools: JobTools = { ...options, reads, throttle };
  const active = new Map<string, Promise<unknown>>();
  /** The next job need not wait for the next look. */
  let ended = Promise.withResolvers<void>();
  /** The stream carries a table that is suspended by now, or one in full refresh has other columns. */
  let isOutdated = false;
  let lookedAt = Number.NEGATIVE_INFINITY;
  try {
    for (; ; await Promise.race([sleep(pollMs, stop), ended.promise])) {
      ended = Promise.withResolvers<void>();
      if (signal.aborted) return 'done';
      if (failed.signal.aborted) throw failed.signal.reason;
      if (isOutdated) return 'again';
      const jobs = await session.guarded(async () => await openJobs(session.db));
      if (performance.now() - lookedAt > scheduleMs) {
        lookedAt = performance.now();
        const states = await session.guarded(async () => await readStates(session.db));
        const isRead = new Set(jobs.filter(readsAll).map(({ table }) => table));
        // Somebody has cancelled the job without which it is not whole.
        if (states.some(({ table, state }) => state === 'backfilling' && !isRead.has(table))) return 'again';
        await session.guarded(async () => await requestDue(config, session.db, states));
      }
      if (jobs.length > 0) {
        const known = await session.guarded(async () => await readTables(session.db));
        const tables = new Map(known.map((table) => [table.table, table]));
        for (const job of jobs) {
          const table = tables.get(job.table);
          const planned = options.planned.get(job.table);
          const refusal = refusalOf(job, table);
          if (refusal !== null) {
            await failJob(tools, session, job, refusal);
            continue;
          }
          if (table === undefined || planned === undefined || !isTaken(table)) return 'again';
          const from = table.state === 'full-refresh' ? null : table.from;
          if (from !== null) reads.expect(job.table, planned.engine);
          if (active.size >= config.snapshotConnections || active.has(job.table)) continue;
          active.set(
            job.table,
            runJob(tools, job, { ...planned, codec: knownCodec(table.schema), from }, stop)
              .then((isChanged) => (isOutdated ||= isChanged))
              .catch((error: unknown) => failed.abort(error))
              .finally(() => {
                active.delete(job.table);
                ended.resolve();
              }),
          );
        }
      }
      for (const table of reads.tables)
        if (!active.has(table) && !jobs.some((job) => job.table === table)) reads.end(table);
      if (active.size > 0) continue;
      // Nothing is read for now: the source need not keep a connection for it.
      await replicator.close();
      if (options.isDone(jobs)) return 'done';
    }
  } finally {
    failed.abort();
    await Promise.all(active.values());
    await Promise.all([session.close(), replicator.close()]);
  }
}

/** Why a job cannot be done on a table in this state, whatever is done first; null: it can, or that is not known. */
function refusalOf({ kind, condition }: Job, table: KnownTable | undefined): string | null {
  const isWhole = kind !== 'verify' && condition === null;
  switch (table?.state) {
    case 'full-refresh':
      return isWhole ? null : 'the table has no key: it is copied as a whole, and that is all that can be done';
    case 'suspended':
      return isWhole && kind === 'backfill'
        ? null
        : `the table is suspended: ${table.reason}; backfill all of it first`;
    case 'excluded':
      return isWhole && kind === 'backfill' ? null : `the table is excluded: ${table.reason}`;
    case 'streaming':
    case 'backfilling':
      return kind === 'refresh' ? `the table is ${table.state}, which is not for a refresh` : null;
    default:
      return null;
  }
}

/** It is streamed or fully refreshed, as far as the control schema knows. */
function isTaken({ state }: KnownTable): boolean {
  return state === 'streaming' || state === 'backfilling' || state === 'full-refresh';
}

/** Asks for what is due by schedule. */
async function requestDue(
  config: Config,
  db: Target,
  states: readonly Pick<KnownTable, 'table' | 'state'>[],
): Promise<void> {
  const those = (wanted: KnownTable['state']) =>
    states.filter(({ state }) => state === wanted).map(({ table }) => table);
  await requestDueRefreshes(db, those('full-refresh'), config.refreshEveryMinutes);
  if (config.verifyEveryHours !== null) await requestDueVerification(db, those('streaming'), config.verifyEveryHours);
}
