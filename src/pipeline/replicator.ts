import type { Config } from '../config/config.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { Lease } from '../postgres/control/lease.ts';
import { migrateControlSchema } from '../postgres/control/migrate.ts';
import { TargetSession } from '../postgres/session.ts';
import { backoff, sleep } from '../lifetime/backoff.ts';
import { recordStart, recordStop } from './start-and-stop.ts';
import { runAsLeaseHolder } from './leader.ts';
import type { ReplicatorListener, RunOptions } from './listener.ts';

const standbyPollMs = 1_000;

/**
 * The state machine: wait for the lease, snapshot what is missing, stream. A failure that a fresh connection may fix restarts it from
 * the beginning, which depends only on the control schema. Any other failure rejects. Resolves when `signal` aborts, or when what
 * `options.until` asks for is done.
 */
export async function replicate(
  config: Config,
  options: RunOptions,
  listener: ReplicatorListener,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0;
  let isRecorded = false;
  // Durable progress shows that the trouble is over, so the next failure waits the shortest delay again.
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
      await migrate(config, signal);
      const lease = await waitForLease(config, watched, signal);
      if (lease === null) return;
      try {
        if (!isRecorded) await recordStart(config, lease.epoch);
        isRecorded = true;
        await runUnlessPaused(config, options, lease, watched, signal);
        await recordStop(config, lease.epoch, signal.aborted ? 'on request' : 'caught up');
        return;
      } catch (error) {
        // This failure ends the service. If it cannot be recorded, the failure itself still matters more.
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

async function migrate(config: Config, signal: AbortSignal): Promise<void> {
  const session = await TargetSession.open(config.target, 'tidegate', signal);
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

/** Works as the lease holder, and pauses for as long as the operator wants. */
async function runUnlessPaused(
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
      await runAsLeaseHolder(config, options, lease, listener, AbortSignal.any([signal, rest]));
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
