import { randomUUID } from 'node:crypto';
import type { Config } from '../config/config.ts';
import { isOpen } from '../config/snapshot-window.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { type Scope, inPart } from '../lifetime/scope.ts';
import { formatPosition } from '../change/position.ts';
import { SourceConnection } from '../mysql/connection.ts';
import { readServerFlavor } from '../mysql/server-flavor.ts';
import { keepRefusal, readCheckpoint } from '../postgres/control/checkpoint.ts';
import { Fence } from '../postgres/control/fence.ts';
import { Lease } from '../postgres/control/lease.ts';
import { migrateControlSchema } from '../postgres/control/migrate.ts';
import { TargetSession, WritingSession } from '../postgres/session.ts';
import { backoff, sleep } from '../lifetime/backoff.ts';
import { resync } from './begin/resync.ts';
import { recordStart, recordStop } from './service-events.ts';
import { runAsLeaseHolder } from './lease-holder.ts';
import { RepeatedDamage } from './stream/repeated-damage.ts';
import { type ServiceListener, type RunOptions, type StallReason, refusalIn } from './service-listener.ts';

const standbyPollMs = 1_000;
/** How often a service that was refused looks for a resync, and how often it asks the source again. */
const refusedPollMs = 2_000;
const refusedRetryMs = 60_000;
/** How long PostgreSQL may take to finish the present work after a stop. Then the work is aborted, and the next run repeats it. */
export const drainMs = 10_000;
/** What is shown while a server sends nothing although it should answer. */
const stallOf = { source: 'source-silent', target: 'target-silent' } as const;

/**
 * The state machine: wait for the lease, snapshot what is missing, stream. A failure that a fresh connection may fix restarts it from
 * the beginning, which depends only on the control schema. Any other failure rejects. Resolves when `signal` aborts, or when what
 * `options.until` asks for is done.
 */
export async function replicate(
  scope: Scope,
  config: Config,
  options: RunOptions,
  listener: ServiceListener,
): Promise<void> {
  const { signal } = scope;
  let failures = 0;
  let isRecorded = false;
  const damage = new RepeatedDamage();
  const stall: { stream: StallReason | null; silence: StallReason | null } = { stream: null, silence: null };
  /** Reports of bytes read since the last silent connection was closed. */
  let reads = 0;
  /** Work goes on. A silent connection that was closed stalls nothing any more. */
  const moves = () => {
    if (stall.silence === null || scope.silent !== null) return;
    stall.silence = null;
    listener.stalled(stall.stream);
  };
  // Durable progress shows that the trouble is over, so the next failure waits the shortest delay again.
  const watched: ServiceListener = {
    ...listener,
    stalled: (reason) => {
      stall.stream = reason;
      listener.stalled(stall.silence ?? reason);
    },
    applied: (batch) => {
      failures = 0;
      moves();
      listener.applied(batch);
    },
    progress: (progress) => {
      failures = 0;
      moves();
      listener.progress(progress);
    },
    job: (job) => {
      moves();
      listener.job(job);
    },
    read: (bytes) => {
      // The first report may be of bytes that came before the silent connection was closed.
      reads = scope.silent === null ? reads + 1 : 0;
      if (reads > 1) moves();
      listener.read(bytes);
    },
  };
  while (!signal.aborted) {
    try {
      // Every attempt has connections of its own.
      await using attempt = scope.child();
      stall.stream = stall.silence = null;
      attempt.onSilence = (silence) => {
        stall.silence = silence === null ? null : stallOf[silence.side];
        listener.stalled(stall.silence ?? stall.stream);
      };
      await inPart(attempt, async (part) => {
        await migrateControlSchema(await WritingSession.open(part, config.target));
      });
      const lease = await waitForLease(attempt, config, watched);
      if (lease === null) return;
      try {
        if (!isRecorded) await recordStart(attempt, config, lease.epoch);
        isRecorded = true;
        await runUnlessPaused(attempt, config, options, lease, watched).catch((error: unknown) => {
          throw damage.judged(error);
        });
        await recordStop(attempt, config, lease.epoch, signal.aborted ? 'on request' : 'caught up');
        return;
      } catch (error) {
        if (error instanceof TidegateError && error.kind === 'source-diverged')
          await remember(attempt, config, lease.epoch, error);
        // This failure ends the service. If it cannot be recorded, the failure itself still matters more.
        const isEnd = error instanceof TidegateError && error.action !== 'retry' && refusalIn(error) === null;
        if (isRecorded && isEnd) await recordStop(attempt, config, lease.epoch, error.kind).catch(() => undefined);
        throw error;
      } finally {
        await lease.release();
      }
    } catch (error) {
      if (signal.aborted) return;
      const refusal = refusalIn(error);
      if (refusal !== null && options.until === 'stopped') {
        listener.refused(refusal);
        const isDone = config.resync === 'auto' && (await resyncAlone(scope, config, listener));
        if (!isDone) await untilResync(scope, config);
        continue;
      }
      if (!(error instanceof TidegateError) || error.action !== 'retry') throw error;
      failures++;
      const delay = backoff(failures);
      listener.retrying(error, delay);
      await sleep(delay, signal);
    }
  }
}

/** Keeps the refusal of a source whose history is another one, so that no restart forgets it. */
async function remember(scope: Scope, config: Config, epoch: bigint, { message }: TidegateError): Promise<void> {
  await inPart(scope, async (part) => {
    const { identity } = await readServerFlavor(await SourceConnection.open(part, config.source, 'replicator'));
    const fence = await Fence.open(part, config.target, 'lead', epoch);
    await fence.transaction(async (trx) => await keepRefusal(trx, { reason: message, sourceIdentity: identity }));
  });
}

/** Resyncs without being asked, as RESYNC=auto wants. False: it may not now, or it failed, and the service waits as without the setting. */
async function resyncAlone(scope: Scope, config: Config, listener: ServiceListener): Promise<boolean> {
  const { snapshotWindow } = config;
  if (snapshotWindow !== null && !isOpen(snapshotWindow, new Date())) return false;
  try {
    return await inPart(scope, async (part) => {
      await resync(part, config, 'by RESYNC=auto', randomUUID());
      return true;
    });
  } catch (error) {
    const refusal = refusalIn(error);
    if (refusal !== null) listener.refused(refusal);
    else if (error instanceof TidegateError) listener.retrying(error, refusedRetryMs);
    else throw error;
    return false;
  }
}

/** Waits until a resync has moved the checkpoint. After a minute another attempt may find the right source. */
async function untilResync(scope: Scope, config: Config): Promise<void> {
  const since = performance.now();
  const applied = async () =>
    await inPart(scope, async (part) => {
      const { db } = await TargetSession.open(part, config.target, 'tidegate refused');
      const checkpoint = await readCheckpoint(db);
      return checkpoint === null ? null : formatPosition(checkpoint.position);
    }).catch(() => null);
  const before = await applied();
  while (!scope.signal.aborted && performance.now() - since < refusedRetryMs) {
    await sleep(refusedPollMs, scope.signal);
    const now = await applied();
    if (now !== null && now !== before) return;
  }
}

async function waitForLease(scope: Scope, config: Config, listener: ServiceListener): Promise<Lease | null> {
  const { signal } = scope;
  for (let announced = false; !signal.aborted;) {
    const lease = await Lease.tryAcquire(scope, config.target);
    if (lease !== null) return lease;
    if (!announced) listener.state('standby');
    announced = true;
    await sleep(standbyPollMs, signal);
  }
  return null;
}

/** Works as the lease holder, and pauses for as long as the operator wants. */
async function runUnlessPaused(
  scope: Scope,
  config: Config,
  options: RunOptions,
  lease: Lease,
  listener: ServiceListener,
): Promise<void> {
  const { signal } = scope;
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
      await inPart(scope, async (part) => {
        const stop = () => part.drain(drainMs, new TidegateError('target-busy', 'paused'));
        rest.addEventListener('abort', stop, { once: true });
        await runAsLeaseHolder(part, config, options, lease, listener).finally(() =>
          rest.removeEventListener('abort', stop),
        );
      });
      if (!rest.aborted) return;
    } catch (error) {
      // The pause aborted the work. A failure with another cause will happen again after the pause.
      if (!rest.aborted) throw error;
    }
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}
