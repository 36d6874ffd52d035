import type { Position } from '../../change/position.ts';
import type { Config } from '../../config/config.ts';
import { sleep } from '../../errors/backoff.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { knownCodec } from '../../mapping/table-codec.ts';
import { SourceConnection } from '../../source/connection.ts';
import { ReplicaLag } from '../../source/replica-lag.ts';
import type { ServerFlavor } from '../../source/server-flavor.ts';
import { assertEpoch } from '../../target/control/checkpoint.ts';
import { recordEvent } from '../../target/control/events.ts';
import {
  type Job,
  beginJob,
  countJob,
  endJob,
  openJobs,
  requestDueRefreshes,
  requestDueVerification,
} from '../../target/control/jobs.ts';
import { sessionName } from '../../target/control/lease.ts';
import { type Target, TargetSession } from '../../target/session.ts';
import { type KnownTable, finishBackfill, parkTable, readTables } from '../../target/control/table-states.ts';
import { readCondition } from './where-condition.ts';
import { ConsistentReads } from './consistent-reads.ts';
import { JobCancelled, TableComparison } from './table-comparison.ts';
import type { ReplicatorListener } from '../listener.ts';
import { openAll } from '../open-all.ts';
import type { LiveStream } from '../stream/live-stream.ts';
import { refresh } from './refresh.ts';
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
 * failure that is one job's own ends that job; any other ends the stream, and the jobs go on where they were when it begins again.
 * Resolves with `again` when a table has to be taken in first.
 */
export async function runJobs(options: JobRunnerOptions): Promise<'done' | 'again'> {
  const { config, epoch, signal, hangUp } = options;
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);
  const [session, replicator, reader] = await openAll(
    async () => await TargetSession.open(config.target, sessionName('jobs', config.target.schema, epoch), hangUp),
    async () => await SourceConnection.open(config.source, 'replicator'),
    async () => await SourceConnection.open(config.source, 'reader'),
  );
  const reads = new ConsistentReads(options.live, options.server, { replicator, reader }, stop);
  const throttle = new Throttle(config.snapshotWindow, new ReplicaLag(replicator), options.listener);
  const active = new Map<string, Promise<unknown>>();
  /** The next job need not wait for the next look. */
  let ended = Promise.withResolvers<void>();
  /** The stream carries a table that is parked by now. */
  let isOutdated = false;
  let lookedAt = Number.NEGATIVE_INFINITY;
  try {
    for (; ; await Promise.race([sleep(pollMs, stop), ended.promise])) {
      ended = Promise.withResolvers<void>();
      if (signal.aborted) return 'done';
      if (failed.signal.aborted) throw failed.signal.reason;
      const known = await session.guarded(async () => await readTables(session.db, config.target.schema));
      if (isOutdated) return 'again';
      if (performance.now() - lookedAt > scheduleMs) {
        lookedAt = performance.now();
        await session.guarded(async () => await requestDue(config, session.db, known));
      }
      const jobs = await session.guarded(async () => await openJobs(session.db, config.target.schema));
      const tables = new Map(known.map((table) => [table.table, table]));
      for (const job of jobs) {
        const table = tables.get(job.table);
        const isTaken =
          job.kind === 'refresh'
            ? table?.state === 'refreshed'
            : table?.state === 'streaming' || table?.state === 'backfilling';
        if (table === undefined || !isTaken || !options.planned.has(job.table)) {
          if (table !== undefined && (table.state === 'refreshed' || job.kind === 'refresh')) {
            await fail(options, session, job, `the table is ${table.state}, which is not for a ${job.kind}`);
            continue;
          }
          if (table?.state === 'parked' && (job.kind === 'verify' || job.condition !== null)) {
            await fail(options, session, job, `the table is parked: ${table.reason}; backfill all of it first`);
            continue;
          }
          return 'again';
        }
        const planned = options.planned.get(job.table) as PlannedTable;
        if (job.kind !== 'refresh') reads.expect(job.table, planned.engine);
        if (active.size >= config.snapshotConnections || active.has(job.table)) continue;
        active.set(
          job.table,
          runOne(options, job, { ...planned, codec: knownCodec(table.schema) }, table.from, { reads, throttle }, stop)
            .then((parked) => (isOutdated ||= parked))
            .catch((error: unknown) => failed.abort(error))
            .finally(() => {
              active.delete(job.table);
              ended.resolve();
            }),
        );
      }
      for (const table of tables.keys())
        if (!active.has(table) && !jobs.some((job) => job.table === table)) reads.end(table);
      if (options.isDone(jobs) && active.size === 0) return 'done';
    }
  } finally {
    failed.abort();
    await Promise.all(active.values());
    await Promise.all([session.close(), replicator.close(), reader.close()]);
  }
}

/** Asks for what is due by schedule. */
async function requestDue(config: Config, db: Target, known: readonly KnownTable[]): Promise<void> {
  const replica = config.target.schema;
  const those = (wanted: KnownTable['state']) =>
    known.filter(({ state }) => state === wanted).map(({ table }) => table);
  await requestDueRefreshes(db, replica, those('refreshed'), config.refreshEveryMinutes);
  if (config.verifyEveryHours !== null)
    await requestDueVerification(db, replica, those('streaming'), config.verifyEveryHours);
}

/** Does one job. True: its table was parked. */
async function runOne(
  options: JobRunnerOptions,
  job: Job,
  table: PlannedTable,
  from: Position,
  { reads, throttle }: { reads: ConsistentReads; throttle: Throttle },
  signal: AbortSignal,
): Promise<boolean> {
  const { config, epoch, live, listener, hangUp } = options;
  const replica = config.target.schema;
  // The stream brings this table's changes from there on. Keys are watched from a moment at which no transaction is there in part.
  await live.at(from, async () => {
    if (job.kind !== 'refresh') reads.begin(job.table);
    await Promise.resolve();
  });
  const [session, reader] = await openAll(
    async () => await TargetSession.open(config.target, sessionName('jobs', replica, epoch), hangUp),
    async () => await SourceConnection.open(config.source, 'reader'),
  );
  const connection = { reader };
  try {
    await session.guarded(async () => await beginJob(session.db, job.id, table.estimatedRows));
    listener.job({ ...job, state: 'running', estimatedRows: table.estimatedRows });
    const condition = job.condition === null ? null : readCondition(job.condition, table.codec.schema);
    const counts =
      job.kind === 'refresh'
        ? { ...job.counts, ...(await refresh(config, epoch, table, connection, session, throttle, signal)) }
        : await new TableComparison(
            job,
            { config, live, reads, throttle, connection, session, signal },
            table,
            condition,
          ).run();
    await session.transaction(async (trx) => {
      await assertEpoch(trx, replica, epoch);
      await countJob(trx, job.id, counts);
      if (!(await endJob(trx, job.id, 'done', null))) return;
      if (job.kind === 'backfill' && job.condition === null) await finishBackfill(trx, replica, job.table);
      await recordEvent(trx, replica, 'job-ended', { ...describe(job), ...counts });
    });
    listener.job({ ...job, state: 'done', counts });
    return false;
  } catch (error) {
    if (error instanceof JobCancelled) return false;
    if (signal.aborted || !(error instanceof TidegateError) || !jobsOwn.has(error.kind)) throw error;
    return await fail(options, session, job, error.message, error.kind === 'unconfirmed');
  } finally {
    await Promise.all([connection.reader.close(), session.close()]);
  }
}

/** Failures that are one job's, or its table's, and nobody else's. */
const jobsOwn = new Set<TidegateError['kind']>([
  'refused',
  'source-statement',
  'source-table',
  'target-refused',
  'bad-row',
  'unconfirmed',
]);

/** Ends a job without having done it. A table that is not whole without it is parked, which is told by true. */
async function fail(
  { config, epoch, listener }: JobRunnerOptions,
  session: TargetSession,
  job: Job,
  reason: string,
  unconfirmed = false,
): Promise<boolean> {
  const replica = config.target.schema;
  const isParked = await session.transaction(async (trx) => {
    await assertEpoch(trx, replica, epoch);
    await endJob(trx, job.id, 'failed', reason, unconfirmed);
    await recordEvent(trx, replica, 'job-ended', { ...describe(job), reason });
    const state = (await readTables(trx, replica)).find(({ table }) => table === job.table)?.state;
    if (state !== 'backfilling' || job.kind !== 'backfill' || job.condition !== null) return false;
    await parkTable(trx, replica, job.table, reason);
    return true;
  });
  listener.job({ ...job, state: 'failed', reason });
  if (isParked) listener.parked(job.table, reason);
  return isParked;
}

function describe({ id, table, kind, repair, condition, requestedBy }: Job) {
  return { job: id, table, kind, repair, part: condition !== null, requestedBy };
}
