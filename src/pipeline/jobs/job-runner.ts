import type { Config } from '../../config/config.ts';
import { tableFilter } from '../../config/table-filter.ts';
import { sleep } from '../../lifetime/backoff.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { Scope } from '../../lifetime/scope.ts';
import { OnDemandConnection } from '../../mysql/on-demand-connection.ts';
import { SourceDelay } from '../../mysql/source-delay.ts';
import { type ServerFlavor, openOn } from '../../mysql/server-flavor.ts';
import { requestDueRefreshes, requestDueVerification } from '../../postgres/control/due-jobs.ts';
import { type Job, openJobs, readsAll } from '../../postgres/control/jobs.ts';
import { Fence } from '../../postgres/control/fence.ts';
import type { Fenced } from '../../postgres/control/writing.ts';
import { type KnownTable, readStates, readTables, suspendTable } from '../../postgres/control/table-states.ts';
import { readStandings } from '../../postgres/rows/standing.ts';
import { ConsistentReads } from './consistent-reads.ts';
import type { ServiceListener } from '../service-listener.ts';
import type { StreamView } from '../stream/stream-view.ts';
import { knownCodec } from '../../mapping/table-codec.ts';
import { type JobTools, failJob, runJob } from './run-job.ts';
import type { PlannedTable } from '../begin/table-plan.ts';
import { Throttle } from '../read/throttle.ts';

/** How often requests are looked for. */
const pollMs = 500;
/** How soon after a start the list of tables is read again because a definition named a table that is not replicated. */
const unlistedMs = 60_000;
/** The tables that gh-ost and pt-online-schema-change fill beside the table they change. */
const shadowTable = /^_.*_(gho|ghc|del|new|old)$/;
/** How often the schedule is checked. */
const scheduleMs = 5_000;

export interface JobRunnerOptions {
  readonly config: Config;
  readonly epoch: bigint;
  readonly server: ServerFlavor;
  readonly live: StreamView;
  /** The tables of the catalog when the stream started. */
  readonly planned: ReadonlyMap<string, PlannedTable>;
  /** Whether the work is done, so that the stream may end although these jobs are open. */
  readonly isDone: (open: readonly Job[]) => boolean;
  readonly listener: ServiceListener;
}

/**
 * Does the jobs that are requested in the control schema, beside the stream. Several tables are worked on at the same time, each by
 * one job at a time. A failure of one job alone ends that job. Any other failure ends the stream; after the restart the jobs continue
 * where they were. Resolves with `again` when a table must be added, resumed or suspended first.
 */
export async function runJobs(scope: Scope, options: JobRunnerOptions): Promise<'done' | 'again'> {
  const { config, epoch } = options;
  const { signal } = scope;
  // The first failure stops all jobs.
  await using jobScope = scope.child();
  const stop = jobScope.signal;
  let failure: { readonly error: unknown } | null = null;
  const fence = await Fence.open(jobScope, config.target, 'jobs', epoch);
  const { session } = fence;
  const replicator = new OnDemandConnection(
    async () => await openOn(jobScope, config.source, 'replicator', options.server),
  );
  const reads = new ConsistentReads(jobScope, config.source, options.live, options.server, replicator);
  const throttle = new Throttle(config, new SourceDelay(replicator), options.listener);
  const tools: JobTools = { ...options, reads, throttle };
  const active = new Map<string, Promise<unknown>>();
  /** Resolves when a job ends, so that the next job does not wait for `pollMs`. */
  let ended = Promise.withResolvers<void>();
  /** The stream still replicates a table that is suspended now, or a table in full refresh has other columns. */
  let isOutdated = false;
  let lookedAt = Number.NEGATIVE_INFINITY;
  const begunAt = performance.now();
  const isSelected = tableFilter(config.tables);
  const mayBeNew = (table: string) => isSelected(table) && !shadowTable.test(table);
  try {
    for (; ; await Promise.race([sleep(pollMs, stop), ended.promise])) {
      ended = Promise.withResolvers<void>();
      if (signal.aborted) return 'done';
      if (failure !== null) throw (failure as { readonly error: unknown }).error;
      if (isOutdated) return 'again';
      const jobs = await openJobs(session.db);
      if (performance.now() - lookedAt > scheduleMs) {
        lookedAt = performance.now();
        const states = await readStates(session.db);
        const isRead = new Set(jobs.filter(readsAll).map(({ table }) => table));
        // Its job was cancelled, and without it the table stays incomplete.
        if (states.some(({ table, state }) => state === 'backfilling' && !isRead.has(table))) return 'again';
        if (performance.now() - begunAt > unlistedMs && [...options.live.unlisted].some(mayBeNew)) return 'again';
        const due = states.filter(({ isDue }) => isDue).map(({ table }) => table);
        if (due.length > 0 && (await anyReturns(config, fence, due))) return 'again';
        await fence.transaction(async (trx) => await requestDue(config, trx, states));
      }
      if (jobs.length > 0) {
        const known = await readTables(session.db);
        const tables = new Map(known.map((table) => [table.table, table]));
        for (const job of jobs) {
          const table = tables.get(job.table);
          const planned = options.planned.get(job.table);
          const refusal = refusalOf(job, table);
          if (refusal !== null) {
            await failJob(tools, fence, job, refusal);
            continue;
          }
          if (table === undefined || planned === undefined || !isReplicated(table)) return 'again';
          const from = table.state === 'full-refresh' ? null : table.from;
          if (from !== null) reads.expect(job.table, planned.engine);
          if (active.size >= config.snapshotConnections || active.has(job.table)) continue;
          active.set(
            job.table,
            runJob(jobScope, tools, job, { ...planned, codec: knownCodec(table.schema), from })
              .then((isChanged) => (isOutdated ||= isChanged))
              .catch((error: unknown) => {
                failure ??= { error };
                jobScope.stop(error);
              })
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
      // Nothing is being read, so the source does not have to keep a connection.
      await replicator.close();
      if (options.isDone(jobs)) return 'done';
    }
  } finally {
    jobScope.stop(new TidegateError('internal', 'the jobs have ended'));
    await Promise.all(active.values());
  }
}

/**
 * Whether one of these suspended tables can return now. Tables that cannot, because of an object of somebody else or missing rights at the
 * target, wait for their next pause, and the stream need not restart for them.
 */
async function anyReturns(config: Config, fence: Fence, due: readonly string[]): Promise<boolean> {
  const standings = await readStandings(fence.session.db, config.target.schema, due);
  const blocked = due.flatMap((table) => {
    const standing = standings.get(table);
    return standing !== undefined && 'what' in standing ? [{ table, reason: standing.what }] : [];
  });
  if (blocked.length > 0)
    await fence.transaction(async (trx) => {
      for (const { table, reason } of blocked) await suspendTable(trx, table, reason);
    });
  return blocked.length < due.length;
}

/** Why a job is impossible on a table in this state, whatever is done first; null: it is possible, or that is unknown. */
function refusalOf({ kind, condition }: Job, table: KnownTable | undefined): string | null {
  if (kind === 'retry' && table?.state !== 'streaming') return `the table is ${table?.state ?? 'gone'}`;
  const isEntire = kind !== 'verify' && condition === null;
  switch (table?.state) {
    case 'full-refresh':
      return isEntire ? null : 'the table has no key: only a full refresh of it is possible';
    case 'suspended':
      return isEntire && kind === 'backfill'
        ? null
        : `the table is suspended: ${table.reason}; backfill the entire table first`;
    case 'excluded':
    case 'gone':
      return isEntire && kind === 'backfill' ? null : `the table is ${table.state}: ${table.reason}`;
    case 'streaming':
    case 'backfilling':
      return kind === 'refresh' ? `the table is ${table.state}; only a table in full refresh can be refreshed` : null;
    default:
      return null;
  }
}

/** The control schema lists it as streamed or in full refresh. */
function isReplicated({ state }: KnownTable): boolean {
  return state === 'streaming' || state === 'backfilling' || state === 'full-refresh';
}

/** Requests the jobs that are due by schedule. */
async function requestDue(
  config: Config,
  trx: Fenced,
  states: readonly Pick<KnownTable, 'table' | 'state'>[],
): Promise<void> {
  const those = (wanted: KnownTable['state']) =>
    states.filter(({ state }) => state === wanted).map(({ table }) => table);
  await requestDueRefreshes(trx, those('full-refresh'), config.refreshEveryMinutes);
  if (config.verifyEveryHours !== null) await requestDueVerification(trx, those('streaming'), config.verifyEveryHours);
}
