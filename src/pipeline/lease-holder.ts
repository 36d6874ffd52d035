import type { Config } from '../config/config.ts';
import { type Position, comparePositions } from '../change/position.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { type Scope, inPart } from '../lifetime/scope.ts';
import { knownCodec } from '../mapping/table-codec.ts';
import { isCrashSafe } from '../mysql/engines.ts';
import { SourceConnection } from '../mysql/connection.ts';
import { readHead } from '../mysql/position/positions.ts';
import { proofStart } from '../mysql/position/proof-start.ts';
import { type ServerFlavor, readServerFlavor } from '../mysql/server-flavor.ts';
import { Fence } from '../postgres/control/fence.ts';
import { type Job, readsAll } from '../postgres/control/jobs.ts';
import type { Lease } from '../postgres/control/lease.ts';
import { TargetSession } from '../postgres/session.ts';
import { type KnownTable, finishSnapshot, suspendTable } from '../postgres/control/table-states.ts';
import { readStanding } from '../postgres/rows/standing.ts';
import { assertContinues, readProgress } from './begin/continuation.ts';
import { assertOnlyReads, toleratesPrivileges } from './check/source-rights.ts';
import type { ServiceListener, ServiceState, RunOptions } from './service-listener.ts';
import { runJobs } from './jobs/job-runner.ts';
import { prepare } from './begin/prepare.ts';
import { copyTables } from './snapshot/snapshot.ts';
import { streamChanges } from './stream/stream.ts';
import { suspensionOf } from './suspension.ts';
import type { PlannedTable } from './begin/table-plan.ts';

/** The work of the instance that holds the lease: snapshot what is missing, then stream. */
export async function runAsLeaseHolder(
  scope: Scope,
  config: Config,
  options: RunOptions,
  lease: Lease,
  listener: ServiceListener,
): Promise<void> {
  // Once the lease is lost, nothing may be awaited: every connection is destroyed. The fence in every transaction stops what was already
  // sent.
  lease.lost.catch((error: unknown) => scope.hangUp(error));
  try {
    listener.state('checking');
    for (let outcome = 'again'; outcome === 'again' && !scope.signal.aborted;) {
      try {
        const basis = await inPart(
          scope,
          async (part) => await snapshotMissing(part, config, options, lease, listener),
        );
        if (scope.signal.aborted) break;
        outcome = await inPart(scope, async (part) => await stream(part, config, options, lease, basis, listener));
      } catch (error) {
        scope.throwIfHungUp();
        if (scope.signal.aborted || !(await suspendedFor(scope, error, config, lease, listener))) throw error;
      }
    }
  } catch (error) {
    scope.throwIfHungUp();
    throw await explain(scope, config, lease, error);
  }
  scope.throwIfHungUp();
}

/** Suspends the one table that a failure concerns, so that the others continue. False: more than one table is concerned. */
async function suspendedFor(
  scope: Scope,
  error: unknown,
  config: Config,
  lease: Lease,
  listener: ServiceListener,
): Promise<boolean> {
  const suspension = suspensionOf(error);
  if (!(error instanceof TidegateError) || error.table === undefined || suspension === null) return false;
  const { table } = error;
  const { schema } = config.target;
  await inPart(scope, async (part) => {
    const fence = await Fence.open(part, config.target, 'lead', lease.epoch);
    const standing = await readStanding(fence.session.db, schema, table);
    const reason = 'what' in standing ? standing.what : suspension.reason;
    await fence.transaction(async (trx) => await suspendTable(trx, table, reason, suspension.decision));
    listener.suspended(table, reason);
  });
  return true;
}

/**
 * Returns the real cause of an error that would need an operator, if the cause can be looked up. A standby may have taken the lease;
 * its dump with our server id ended ours. Or the source purged binlog that was not read yet.
 */
async function explain(scope: Scope, config: Config, lease: Lease, error: unknown): Promise<unknown> {
  if (!(error instanceof TidegateError) || error.action === 'retry') return error;
  try {
    await lease.assertHeld();
    if (error.kind === 'binlog-unreadable')
      await inPart(scope, async (part) => await assertCheckpointContinues(part, config));
    return error;
  } catch (cause) {
    return cause;
  }
}

async function assertCheckpointContinues(scope: Scope, config: Config): Promise<void> {
  const { replicator, target } = await openBoth(scope, config);
  const progress = await readProgress(target.db);
  if (progress !== null)
    await assertContinues(replicator, await readServerFlavor(replicator), config.source.database, progress);
}

/** What the stream starts with. */
interface StreamBasis {
  readonly server: ServerFlavor;
  readonly planned: ReadonlyMap<string, PlannedTable>;
}

async function snapshotMissing(
  scope: Scope,
  config: Config,
  options: RunOptions,
  lease: Lease,
  listener: ServiceListener,
): Promise<StreamBasis> {
  const replicator = await SourceConnection.open(scope, config.source, 'replicator');
  const fence = await Fence.open(scope, config.target, 'lead', lease.epoch);
  const reader = await SourceConnection.open(scope, config.source, 'reader');
  const server = await readServerFlavor(replicator);
  if (!toleratesPrivileges(config, options.allowPrivilegedSource === true))
    await assertOnlyReads({ reader, replicator, server }, config);
  const prepared = await prepare(config, { reader, replicator, server }, fence, scope.signal);
  listener.prepared(prepared);
  for (const [table, reason] of prepared.suspended) listener.suspended(table, reason);
  const planned = new Map(prepared.planned.map((table) => [table.codec.schema.table, table]));
  if (prepared.copying.length === 0) return { server, planned };
  listener.state('snapshotting');
  await copyTables(scope, config, server, lease.epoch, prepared.copying, {
    progress: (progress) => listener.progress(progress),
    copied: (table, rows) => listener.copied(table, rows),
    pace: (pace) => listener.pace(pace),
    chunk: (elapsedMs) => listener.chunk(elapsedMs),
    suspended: async (table, { reason, decision }) => {
      await fence.transaction(async (trx) => await suspendTable(trx, table, reason, decision));
      listener.suspended(table, reason);
    },
  });
  const end = await readHead(replicator);
  await fence.transaction(async (trx) => await finishSnapshot(trx, end));
  return { server, planned };
}

async function stream(
  scope: Scope,
  config: Config,
  options: RunOptions,
  lease: Lease,
  { server, planned }: StreamBasis,
  listener: ServiceListener,
): Promise<'done' | 'again'> {
  const { start, proof, tables, head } = await inPart(scope, async (part) => await resume(part, config, server));
  const streaming = tables.filter(({ state }) => state === 'streaming' || state === 'backfilling');
  const exactFrom = snapshotEnd(streaming);
  let state: ServiceState = 'catching-up';
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
  return await streamChanges(scope, config, {
    start,
    proof,
    server,
    epoch: lease.epoch,
    tables: streaming.map(({ table, schema, from }) => ({
      codec: knownCodec(schema),
      from,
      isTornByCrash: !isCrashSafe(planned.get(table)?.engine ?? ''),
    })),
    until: options.until === 'stopped' ? null : head,
    beside: async (part, live) =>
      await runJobs(part, {
        config,
        epoch: lease.epoch,
        server,
        live,
        planned,
        isDone: doneWith(options.until),
        listener,
      }),
    onApplied: (applied) => {
      for (const [table, reason] of applied.suspended) listener.suspended(table, reason);
      listener.applied(applied);
      if (applied.position !== null) passed(applied.position);
    },
    stalls: listener,
  });
}

/** Whether nothing is left that `until` asks for, while these jobs are open. */
function doneWith(until: RunOptions['until']): (open: readonly Job[]) => boolean {
  if (until === 'stopped') return () => false;
  if (until === 'caught-up') return (open) => !open.some((job) => readsAll(job) || job.kind === 'refresh');
  return (open) => !open.some(({ id }) => until.ended.includes(id));
}

/** The position and the tables to continue with, and the present end of the source's binlog. */
async function resume(scope: Scope, config: Config, server: ServerFlavor) {
  const { replicator, target } = await openBoth(scope, config);
  const progress = await readProgress(target.db);
  if (progress === null) throw new TidegateError('internal', 'there is no checkpoint to stream from');
  const { position, witnesses } = progress.checkpoint;
  return {
    start: position,
    proof: await proofStart(replicator, server, position, witnesses),
    tables: progress.tables,
    head: await readHead(replicator),
  };
}

async function openBoth(scope: Scope, config: Config) {
  const replicator = await SourceConnection.open(scope, config.source, 'replicator');
  const target = await TargetSession.open(scope, config.target);
  return { replicator, target };
}

/** The position from which every streaming table is exact: the end of the last snapshot. Null: nothing was ever copied. */
function snapshotEnd(tables: readonly KnownTable[]): Position | null {
  return tables.reduce<Position | null>((last, { until }) => {
    if (until === null) return last;
    return last === null || comparePositions(until, last) > 0 ? until : last;
  }, null);
}
