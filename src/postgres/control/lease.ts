import { hostname } from 'node:os';
import { sql } from 'kysely';
import type { TargetConfig } from '../../config/config.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { sleep } from '../../lifetime/backoff.ts';
import type { Scope } from '../../lifetime/scope.ts';
import { PauseSwitch } from './pause-switch.ts';
import { type Reading, type Target, TargetSession, WritingSession } from '../session.ts';
import { sessionNames } from './fence.ts';

/** A lease that is not renewed for this long may be taken. */
const leaseSeconds = 15;
/** It also bounds the delay until the service learns of a pause. */
const renewEveryMs = 1_000;
/** Only another instance that acquires the lease locks these rows, and only briefly. */
const lockTimeoutMs = 5_000;
/** If the server does not answer for longer, the lease is lost. */
const answerMs = leaseSeconds * 1_000;
/** More than a silent connection is given: with that one its backend ends, which would keep the lease locked. */
const acquireMs = 30_000;
/** The time limit of a release. A failed release is harmless, because the lease expires. */
const releaseMs = 2_000;

/** A target that was restored forgets its latest epochs, and the clock keeps them from being issued twice. */
const clock = sql`(extract(epoch from clock_timestamp()) * 1000)::bigint`;

/**
 * The right to write the target. The lease is a row with an epoch. It is free if the PostgreSQL backend of its holder is gone, because
 * the process died. It is also free if it was not renewed in time, because the process or its network froze.
 *
 * Invariant: acquiring the lease raises the epoch. So every transaction of the old holder fails at its fence.
 */
export class Lease {
  readonly epoch: bigint;
  /** Set at each renewal. */
  readonly pause = new PauseSwitch();
  readonly #session: WritingSession;
  readonly #lost = Promise.withResolvers<never>();
  #timer: NodeJS.Timeout | undefined;

  private constructor(session: WritingSession, epoch: bigint) {
    this.#session = session;
    this.epoch = epoch;
    this.#lost.promise.catch(() => undefined);
    this.#timer = setTimeout(() => void this.#renew(), renewEveryMs);
  }

  /** Acquires the lease if it is free; null if another instance holds it. The control schema must exist. */
  static async tryAcquire(scope: Scope, target: TargetConfig): Promise<Lease | null> {
    const session = await WritingSession.open(scope, target, 'tidegate lease');
    const timer = setTimeout(() => session.destroy(), acquireMs);
    try {
      await sql`set lock_timeout = ${sql.raw(String(lockTimeoutMs))}`.execute(session.db);
      const isFree = await endSessionsOfHolders(session, target.schema);
      const acquire = async (trx: Target) => {
        // A crash must not lose the new epoch, because it would then be issued twice.
        await sql`set local synchronous_commit = on`.execute(trx);
        const { rows } = await sql<{ epoch: string }>`
          insert into ${sql.table('lease')} as held (epoch, holder, backend_pid, backend_start, expires_at)
          select ${clock}, ${`${hostname()}:${process.pid}`}, pid, backend_start, now() + make_interval(secs => ${leaseSeconds})
            from pg_stat_activity where pid = pg_backend_pid()
          on conflict (singleton) do update
            set epoch = greatest(held.epoch + 1, ${clock}), holder = excluded.holder, backend_pid = excluded.backend_pid,
                backend_start = excluded.backend_start, expires_at = excluded.expires_at
          where held.expires_at < now()
             or not exists (select from pg_stat_activity a where a.pid = held.backend_pid and a.backend_start = held.backend_start)
          returning epoch`.execute(trx);
        const taken = rows[0]?.epoch;
        return taken === undefined ? null : BigInt(taken);
      };
      // A lease that is held is not even locked, because its holder would wait.
      const epoch = isFree ? await session.transaction(acquire) : null;
      if (epoch !== null) return new Lease(session, epoch);
    } catch (error) {
      await session.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
    await session.close();
    return null;
  }

  /**
   * Acquires the lease for a command. Raises refused, with this hint, if a service is running: if the holder renews the lease. The lease of one
   * that is gone without a word is waited for.
   */
  static async acquire(scope: Scope, target: TargetConfig, hint: string): Promise<Lease> {
    const { db } = await TargetSession.open(scope, target, 'tidegate lease');
    for (let first: Held | null = null; ; await sleep(renewEveryMs / 2, scope.signal)) {
      scope.signal.throwIfAborted();
      const held = await readHeld(db);
      if (held === null) {
        const lease = await Lease.tryAcquire(scope, target);
        if (lease !== null) return lease;
        continue;
      }
      first ??= held;
      if (held.holder !== first.holder || held.expiresAt !== first.expiresAt)
        throw new TidegateError('refused', `a service is running on this target (${held.holder})`, { hint });
    }
  }

  /** Rejects with lease-lost, or with the error that prevented a renewal. Never resolves. */
  get lost(): Promise<never> {
    return this.#lost.promise;
  }

  /** Renews the lease now. Raises lease-lost if another instance holds it. */
  async assertHeld(): Promise<void> {
    const renewed = await this.#within(
      answerMs,
      async () =>
        await this.#session.transaction(
          async (trx) =>
            await trx
              .updateTable('lease')
              .set({ expires_at: sql`now() + make_interval(secs => ${leaseSeconds})` })
              .where('epoch', '=', this.epoch.toString())
              .returning(sql<boolean>`coalesce((select paused from ${sql.table('controls')}), false)`.as('paused'))
              .executeTakeFirst(),
        ),
    );
    if (renewed === undefined) throw new TidegateError('lease-lost', 'another instance has taken over this target');
    this.pause.set(renewed.paused);
  }

  async #renew(): Promise<void> {
    try {
      await this.assertHeld();
      if (this.#timer !== undefined) this.#timer = setTimeout(() => void this.#renew(), renewEveryMs);
    } catch (error) {
      this.#lost.reject(error);
    }
  }

  /** Releases the lease, so that a standby does not wait until it expires. */
  async release(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#within(
      releaseMs,
      async () =>
        await this.#session.transaction(
          async (trx) =>
            await trx
              .updateTable('lease')
              .set({ expires_at: sql`now() - interval '1 second'` })
              .where('epoch', '=', this.epoch.toString())
              .execute(),
        ),
      // If the connection is broken, the lease expires by itself.
    ).catch(() => undefined);
    await this.#session.close();
  }

  /** Closes the connection if PostgreSQL does not answer in time. */
  async #within<T>(ms: number, work: () => Promise<T>): Promise<T> {
    const timer = setTimeout(() => this.#session.destroy(), ms);
    try {
      return await work();
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The current lease holder as host and process; null if there is none. */
export async function readLeaseHolder(db: Reading): Promise<string | null> {
  return (await readHeld(db))?.holder ?? null;
}

interface Held {
  readonly holder: string;
  readonly expiresAt: string;
}

async function readHeld(db: Reading): Promise<Held | null> {
  const { rows } = await sql<Held>`
    select holder, expires_at::text as "expiresAt" from ${sql.table('lease')} l where expires_at >= now()
       and exists (select from pg_stat_activity a where a.pid = l.backend_pid and a.backend_start = l.backend_start)`.execute(
    db,
  );
  return rows[0] ?? null;
}

/**
 * If the lease is free, ends the open sessions of its holders so far, and the one that holds the lease itself. A process that froze inside a
 * transaction keeps its row locks while its connections live. Returns whether the lease is free.
 */
async function endSessionsOfHolders({ db }: WritingSession, replica: string): Promise<boolean> {
  const { rows } = await sql<{ epoch: string; pid: number; startedAt: string; isFree: boolean }>`
    select epoch, backend_pid as pid, backend_start::text as "startedAt",
           expires_at < now() or not exists (
             select from pg_stat_activity a where a.pid = l.backend_pid and a.backend_start = l.backend_start) as "isFree"
      from ${sql.table('lease')} l`.execute(db);
  const [last] = rows;
  if (last === undefined) return true;
  if (!last.isFree) return false;
  await sql`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and usename = current_user
      and (substring(application_name from ${sessionNames(replica)})::bigint <= ${last.epoch}::bigint
           or (pid = ${last.pid} and backend_start = ${last.startedAt}::timestamptz))`.execute(db);
  return true;
}
