import type { Config } from '../config/config.ts';
import { type Position, comparePositions } from '../change/position.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { knownCodec } from '../mapping/table-codec.ts';
import { SourceConnection } from '../mysql/connection.ts';
import { readHead } from '../mysql/position/positions.ts';
import { type ServerFlavor, readServerFlavor } from '../mysql/server-flavor.ts';
import { assertEpoch } from '../postgres/control/checkpoint.ts';
import { type Job, readsAll } from '../postgres/control/jobs.ts';
import { type Lease, sessionName } from '../postgres/control/lease.ts';
import { TargetSession } from '../postgres/session.ts';
import { type KnownTable, finishSnapshot, suspendTable } from '../postgres/control/table-states.ts';
import { assertContinues, readProgress } from './begin/continuation.ts';
import type { ReplicatorListener, ReplicatorState, RunOptions } from './listener.ts';
import { runJobs } from './jobs/job-runner.ts';
import { prepare } from './begin/prepare.ts';
import { openAll } from './open-all.ts';
import { copyTables } from './snapshot/snapshot.ts';
import { streamChanges } from './stream/stream.ts';
import type { PlannedTable } from './begin/table-plan.ts';

/** How long PostgreSQL may take to finish the present work after a stop. Then the work is aborted, and the next run repeats it. */
const drainMs = 10_000;

/** The work of the instance that holds the lease: snapshot what is missing, then stream. */
export async function runAsLeaseHolder(
  config: Config,
  options: RunOptions,
  lease: Lease,
  listener: ReplicatorListener,
  signal: AbortSignal,
): Promise<void> {
  // Once the lease is lost, nothing may be awaited. Connections to the target are closed at once. The fence in every transaction
  // stops what was already sent.
  const lost = new AbortController();
  lease.lost.catch((error: unknown) => lost.abort(error));
  const ended = AbortSignal.any([signal, lost.signal]);
  let drain: NodeJS.Timeout | undefined;
  const stopping = () => {
    drain = setTimeout(
      () => lost.abort(new TidegateError('target-busy', 'stopped before the present work was complete')),
      drainMs,
    );
  };
  signal.addEventListener('abort', stopping, { once: true });
  try {
    listener.state('checking');
    for (let outcome = 'again'; outcome === 'again' && !ended.aborted;) {
      const basis = await snapshotMissing(config, lease, listener, ended, lost.signal);
      if (ended.aborted) break;
      outcome = await stream(config, options, lease, basis, listener, ended, lost.signal);
    }
  } catch (error) {
    lost.signal.throwIfAborted();
    if (await suspendedFor(error, config, lease, listener))
      throw new TidegateError('target-busy', 'a table was suspended; the others continue', { cause: error });
    throw await explain(config, lease, error);
  } finally {
    signal.removeEventListener('abort', stopping);
    clearTimeout(drain);
  }
  lost.signal.throwIfAborted();
}

/** Suspends the one table whose rows PostgreSQL refuses, so that the others continue. False: more than one table is concerned. */
async function suspendedFor(
  error: unknown,
  config: Config,
  lease: Lease,
  listener: ReplicatorListener,
): Promise<boolean> {
  if (!(error instanceof TidegateError) || error.kind !== 'target-refused' || error.table === undefined) return false;
  const { table, message } = error;
  const session = await TargetSession.open(config.target);
  try {
    await session.transaction(async (trx) => {
      await assertEpoch(trx, lease.epoch);
      await suspendTable(trx, table, message);
    });
  } finally {
    await session.close();
  }
  listener.suspended(table, message);
  return true;
}

/**
 * Returns the real cause of an error that would need an operator, if the cause can be looked up. A standby may have taken the lease;
 * its dump with our server id ended ours. Or the source purged binlog that was not read yet.
 */
async function explain(config: Config, lease: Lease, error: unknown): Promise<unknown> {
  if (!(error instanceof TidegateError) || error.action === 'retry') return error;
  try {
    await lease.assertHeld();
    if (error.kind === 'binlog-unreadable') await assertCheckpointContinues(config);
    return error;
  } catch (cause) {
    return cause;
  }
}

async function assertCheckpointContinues(config: Config): Promise<void> {
  const { replicator, target } = await openBoth(config);
  try {
    const progress = await readProgress(target.db);
    if (progress !== null)
      await assertContinues(replicator, await readServerFlavor(replicator), config.source.database, progress);
  } finally {
    await Promise.all([replicator.close(), target.close()]);
  }
}

/** What the stream starts with. */
interface StreamBasis {
  readonly server: ServerFlavor;
  readonly planned: ReadonlyMap<string, PlannedTable>;
}

async function snapshotMissing(
  config: Config,
  lease: Lease,
  listener: ReplicatorListener,
  signal: AbortSignal,
  hangUp: AbortSignal,
): Promise<StreamBasis> {
  const replica = config.target.schema;
  const { replicator, target } = await openBoth(config, sessionName('lead', replica, lease.epoch), hangUp);
  let reader: SourceConnection | null = null;
  try {
    reader = await SourceConnection.open(config.source, 'reader');
    const server = await readServerFlavor(replicator);
    const prepared = await prepare(config, lease.epoch, { reader, replicator, server }, target, signal);
    listener.prepared(prepared);
    const planned = new Map(prepared.planned.map((table) => [table.codec.schema.table, table]));
    if (prepared.copying.length === 0) return { server, planned };
    listener.state('snapshotting');
    await copyTables(
      config,
      server,
      lease.epoch,
      prepared.copying,
      {
        progress: (progress) => listener.progress(progress),
        copied: (table, rows) => listener.copied(table, rows),
        pace: (pace) => listener.pace(pace),
        chunk: (elapsedMs) => listener.chunk(elapsedMs),
        suspended: async (table, reason) => {
          await target.transaction(async (trx) => {
            await assertEpoch(trx, lease.epoch);
            await suspendTable(trx, table, reason);
          });
          listener.suspended(table, reason);
        },
      },
      signal,
      hangUp,
    );
    const end = await readHead(replicator);
    await target.transaction(async (trx) => {
      await assertEpoch(trx, lease.epoch);
      await finishSnapshot(trx, end);
    });
    return { server, planned };
  } finally {
    await Promise.all([reader?.close(), replicator.close(), target.close()]);
  }
}

async function stream(
  config: Config,
  options: RunOptions,
  lease: Lease,
  { server, planned }: StreamBasis,
  listener: ReplicatorListener,
  signal: AbortSignal,
  hangUp: AbortSignal,
): Promise<'done' | 'again'> {
  const { start, tables, head } = await resume(config);
  const streaming = tables.filter(({ state }) => state === 'streaming' || state === 'backfilling');
  const exactFrom = snapshotEnd(streaming);
  let state: ReplicatorState = 'catching-up';
  listener.state(state);
  const passed = (position: Position) => {
    if (state === 'streaming') return;
    // From here on no row at the target is ahead of the checkpoint, and the earlier backlog is applied.
    if (comparePositions(position, head) < 0 || (exactFrom !== null && comparePositions(position, exactFrom) < 0))
      return;
    state = 'streaming';
    listener.state(state);
  };
  passed(start);
  return await streamChanges(
    config,
    {
      start,
      server,
      epoch: lease.epoch,
      tables: streaming.map(({ schema, from }) => ({ codec: knownCodec(schema), from })),
      until: options.until === 'stopped' ? null : head,
      beside: async (live, over) =>
        await runJobs({
          config,
          epoch: lease.epoch,
          server,
          live,
          planned,
          isDone: doneWith(options.until),
          listener,
          signal: over,
          hangUp,
        }),
      onApplied: (applied) => {
        for (const [table, reason] of applied.suspended) listener.suspended(table, reason);
        listener.applied(applied);
        if (applied.position !== null) passed(applied.position);
      },
      stalls: listener,
    },
    signal,
    hangUp,
  );
}

/** Whether nothing is left that `until` asks for, while these jobs are open. */
function doneWith(until: RunOptions['until']): (open: readonly Job[]) => boolean {
  if (until === 'stopped') return () => false;
  if (until === 'caught-up') return (open) => !open.some((job) => readsAll(job) || job.kind === 'refresh');
  return (open) => !open.some(({ id }) => until.ended.includes(id));
}

/** The position and the tables to continue with, and the present end of the source's binlog. */
async function resume(config: Config) {
  const { replicator, target } = await openBoth(config);
  try {
    const progress = await readProgress(target.db);
    if (progress === null) throw new TidegateError('internal', 'there is no checkpoint to stream from');
    return {
      start: progress.checkpoint.position,
      tables: progress.tables,
      head: await readHead(replicator),
    };
  } finally {
    await Promise.all([replicator.close(), target.close()]);
  }
}

async function openBoth(config: Config, name = 'tidegate', hangUp?: AbortSignal) {
  const [replicator, target] = await openAll(
    async () => await SourceConnection.open(config.source, 'replicator'),
    async () => await TargetSession.open(config.target, name, hangUp),
  );
  return { replicator, target };
}

/** The position from which every streaming table is exact: the end of the last snapshot. Null: nothing was ever copied. */
function snapshotEnd(tables: readonly KnownTable[]): Position | null {
  return tables.reduce<Position | null>((last, { until }) => {
    if (until === null) return last;
    return last === null || comparePositions(until, last) > 0 ? until : last;
  }, null);
}
