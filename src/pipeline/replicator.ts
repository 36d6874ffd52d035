import type { Config } from '../config/config.ts';
import type { ChangeBatch } from '../change/change-batch.ts';
import { type Position, comparePositions } from '../change/position.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { SourceConnection } from '../source/connection.ts';
import { readHead } from '../source/positions.ts';
import { type ServerFlavor, readServerFlavor } from '../source/server-flavor.ts';
import { assertEpoch } from '../target/checkpoint.ts';
import { Lease, sessionName } from '../target/lease.ts';
import { migrateControlSchema } from '../target/migrate.ts';
import { TargetSession } from '../target/session.ts';
import { finishSnapshot, parkTable } from '../target/table-states.ts';
import { backoff, sleep } from '../errors/backoff.ts';
import { recordStart, recordStop } from './audit.ts';
import { assertContinues, readProgress } from './continuation.ts';
import type { CopyProgress } from './copy-table.ts';
import { type Prepared, knownCodec, prepare, snapshotEnd } from './prepare.ts';
import { copyTables } from './snapshot.ts';
import { streamChanges } from './stream.ts';
import type { Pace } from './throttle.ts';

export type ReplicatorState = 'checking' | 'standby' | 'paused' | 'snapshotting' | 'catching-up' | 'streaming';

/** What the replicator tells the world; names and counts only. */
export interface ReplicatorListener {
  state(state: ReplicatorState): void;
  prepared(prepared: Prepared): void;
  progress(progress: CopyProgress): void;
  copied(table: string, rows: number): void;
  pace(pace: Pace): void;
  applied(batch: ChangeBatch): void;
  parked(table: string, reason: string): void;
  /** A failure that will be tried again after `delayMs`. */
  retrying(error: unknown, delayMs: number): void;
}

export interface RunOptions {
  /** Return once the target has what the source had when its snapshot was complete. */
  readonly untilCaughtUp: boolean;
}

const standbyPollMs = 1_000;

/**
 * The state machine: wait for the lease, snapshot what is missing, stream. Every failure that a fresh connection may cure
 * leads back to the beginning, which rests on nothing but the control schema; any other rejects. Resolves when `signal`
 * aborts or, with `untilCaughtUp`, when the target has caught up.
 */
export async function replicate(
  config: Config,
  options: RunOptions,
  listener: ReplicatorListener,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0;
  let isRecorded = false;
  // Whatever became durable shows that the trouble is over: the next failure waits the shortest delay again.
  const watched: ReplicatorListener = {
    ...listener,
    applied: (batch) => {
      failures = 0;
      listener.applied(batch);
    },
    progress: (progress) => {
      failures = 0;
      listener.progress(progress);
    },
  };
  while (!signal.aborted) {
    try {
      await migrate(config);
      const lease = await waitForLease(config, watched, signal);
      if (lease === null) return;
      try {
        if (!isRecorded) await recordStart(config, lease.epoch);
        isRecorded = true;
        await leadUnlessPaused(config, options, lease, watched, signal);
        await recordStop(config, lease.epoch, signal.aborted ? 'told to' : 'caught up');
        return;
      } catch (error) {
        // What it is stopped by for good; the error itself is what matters, should this fail too.
        if (isRecorded && error instanceof TidegateError && error.action !== 'retry')
          await recordStop(config, lease.epoch, error.kind).catch(() => undefined);
        throw error;
      } finally {
        await lease.release();
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof TidegateError) || error.action !== 'retry') throw error;
      failures++;
      const delay = backoff(failures);
      listener.retrying(error, delay);
      await sleep(delay, signal);
    }
  }
}

async function migrate(config: Config): Promise<void> {
  const session = await TargetSession.open(config.target);
  try {
    await migrateControlSchema(session);
  } finally {
    await session.close();
  }
}

async function waitForLease(config: Config, listener: ReplicatorListener, signal: AbortSignal): Promise<Lease | null> {
  for (let announced = false; !signal.aborted;) {
    const lease = await Lease.tryAcquire(config.target);
    if (lease !== null) return lease;
    if (!announced) listener.state('standby');
    announced = true;
    await sleep(standbyPollMs, signal);
  }
  return null;
}

/** Leads, and rests in between for as long as the operator wants. */
async function leadUnlessPaused(
  config: Config,
  options: RunOptions,
  lease: Lease,
  listener: ReplicatorListener,
  signal: AbortSignal,
): Promise<void> {
  const { pause } = lease;
  await lease.assertHeld();
  for (;;) {
    if (pause.isPaused) {
      listener.state('paused');
      await Promise.race([pause.resumed, aborted(signal), lease.lost]);
    }
    if (signal.aborted) return;
    const rest = pause.signal;
    try {
      await lead(config, options, lease, listener, AbortSignal.any([signal, rest]));
      if (!rest.aborted) return;
    } catch (error) {
      // What was broken off for the pause; what was broken anyway will be met again.
      if (!rest.aborted) throw error;
    }
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}

/** The work of the one instance that holds the lease. */
async function lead(
  config: Config,
  options: RunOptions,
  lease: Lease,
  listener: ReplicatorListener,
  signal: AbortSignal,
): Promise<void> {
  // Without the lease nothing may be waited for: connections to the target are hung up, and the fence in every transaction
  // catches what is on its way already.
  const lost = new AbortController();
  lease.lost.catch((error: unknown) => lost.abort(error));
  const ended = AbortSignal.any([signal, lost.signal]);
  try {
    listener.state('checking');
    const server = await snapshotMissing(config, lease, listener, ended, lost.signal);
    if (!ended.aborted) await stream(config, options, lease, server, listener, ended, lost.signal);
  } catch (error) {
    lost.signal.throwIfAborted();
    if (await parkedFor(error, config, lease, listener))
      throw new TidegateError('target-busy', 'a table was parked; the others go on', { cause: error });
    throw await explain(config, lease, error);
  }
  lost.signal.throwIfAborted();
}

/** Parks the one table whose rows PostgreSQL refuses, so that the others can go on. False: the failure is not one table's. */
async function parkedFor(error: unknown, config: Config, lease: Lease, listener: ReplicatorListener): Promise<boolean> {
  if (!(error instanceof TidegateError) || error.kind !== 'target-refused' || error.table === undefined) return false;
  const { table, message } = error;
  const session = await TargetSession.open(config.target);
  try {
    await session.transaction(async (trx) => {
      await assertEpoch(trx, config.target.schema, lease.epoch);
      await parkTable(trx, config.target.schema, table, message);
    });
  } finally {
    await session.close();
  }
  listener.parked(table, message);
  return true;
}

/**
 * What really happened, where an error that would need an operator has a cause that can be looked up: a standby with our
 * server id pushed us off the binlog because it has taken the lease, or the source purged what was not read yet.
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
    const progress = await readProgress(target.db, config.target.schema);
    if (progress !== null) await assertContinues(replicator, await readServerFlavor(replicator), progress);
  } finally {
    await Promise.all([replicator.close(), target.close()]);
  }
}

async function snapshotMissing(
  config: Config,
  lease: Lease,
  listener: ReplicatorListener,
  signal: AbortSignal,
  hangUp: AbortSignal,
): Promise<ServerFlavor> {
  const replica = config.target.schema;
  const { replicator, target } = await openBoth(config, sessionName('lead', replica, lease.epoch), hangUp);
  let reader: SourceConnection | null = null;
  try {
    reader = await SourceConnection.open(config.source, 'reader');
    const server = await readServerFlavor(replicator);
    const prepared = await prepare(config, lease.epoch, { reader, replicator, server }, target, signal);
    listener.prepared(prepared);
    if (prepared.copying.length === 0) return server;
    listener.state('snapshotting');
    await copyTables(
      config,
      lease.epoch,
      prepared.copying,
      {
        progress: (progress) => listener.progress(progress),
        copied: (table, rows) => listener.copied(table, rows),
        pace: (pace) => listener.pace(pace),
        parked: async (table, reason) => {
          await target.transaction(async (trx) => {
            await assertEpoch(trx, replica, lease.epoch);
            await parkTable(trx, replica, table, reason);
          });
          listener.parked(table, reason);
        },
      },
      signal,
      hangUp,
    );
    const end = await readHead(replicator, server);
    await target.transaction(async (trx) => {
      await assertEpoch(trx, replica, lease.epoch);
      await finishSnapshot(trx, replica, end);
    });
    return server;
  } finally {
    await Promise.all([reader?.close(), replicator.close(), target.close()]);
  }
}

async function stream(
  config: Config,
  options: RunOptions,
  lease: Lease,
  server: ServerFlavor,
  listener: ReplicatorListener,
  signal: AbortSignal,
  hangUp: AbortSignal,
): Promise<void> {
  const { start, tables, head } = await resume(config, server);
  const streaming = tables.filter(({ state }) => state === 'streaming');
  const exactFrom = snapshotEnd(streaming);
  let state: ReplicatorState = 'catching-up';
  listener.state(state);
  const passed = (position: Position) => {
    if (state === 'streaming') return;
    // Only now does no row at the target run ahead of the checkpoint, and only then is the backlog of before gone.
    if (comparePositions(position, head) < 0 || (exactFrom !== null && comparePositions(position, exactFrom) < 0))
      return;
    state = 'streaming';
    listener.state(state);
  };
  passed(start);
  await streamChanges(
    config,
    {
      start,
      server,
      epoch: lease.epoch,
      tables: streaming.map(({ schema, from }) => ({ codec: knownCodec(schema), from })),
      until: options.untilCaughtUp ? head : null,
      onApplied: (batch) => {
        for (const [table, reason] of batch.parked) listener.parked(table, reason);
        listener.applied(batch);
        if (batch.end !== null) passed(batch.end.position);
      },
    },
    signal,
    hangUp,
  );
}

/** Where to go on from, with which tables, and where the source's binlog ends now. */
async function resume(config: Config, server: ServerFlavor) {
  const { replicator, target } = await openBoth(config);
  try {
    const progress = await readProgress(target.db, config.target.schema);
    if (progress === null) throw new TidegateError('internal', 'there is no checkpoint to stream from');
    return {
      start: progress.checkpoint.position,
      tables: progress.tables,
      head: await readHead(replicator, server),
    };
  } finally {
    await Promise.all([replicator.close(), target.close()]);
  }
}

/** A connection to either side; when the second cannot be made, the first is not left behind. */
async function openBoth(config: Config, name = 'tidegate', hangUp?: AbortSignal) {
  const replicator = await SourceConnection.open(config.source, 'replicator');
  try {
    return { replicator, target: await TargetSession.open(config.target, name, hangUp) };
  } catch (error) {
    await replicator.close();
    throw error;
  }
}
