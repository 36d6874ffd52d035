import type { Config } from '../config/config.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { type Scope, inPart } from '../lifetime/scope.ts';
import { Lease } from '../postgres/control/lease.ts';
import { migrateControlSchema } from '../postgres/control/migrate.ts';
import { WritingSession } from '../postgres/session.ts';
import { backoff, sleep } from '../lifetime/backoff.ts';
import { recordStart, recordStop } from './service-events.ts';
import { runAsLeaseHolder } from './lease-holder.ts';
import { RepeatedDamage } from './stream/repeated-damage.ts';
import type { ServiceListener, RunOptions, StallReason } from './service-listener.ts';

const standbyPollMs = 1_000;
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
        // This failure ends the service. If it cannot be recorded, the failure itself still matters more.
        if (isRecorded && error instanceof TidegateError && error.action !== 'retry')
          await recordStop(attempt, config, lease.epoch, error.kind).catch(() => undefined);
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
