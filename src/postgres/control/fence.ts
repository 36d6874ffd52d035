import { createHash } from 'node:crypto';
import { type ControlledTransaction, sql } from 'kysely';
import type { TargetConfig } from '../../config/config.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { Scope } from '../../lifetime/scope.ts';
import { notOurs } from '../rows/standing.ts';
import { type Target, WritingSession } from '../session.ts';
import type { ControlSchema } from './control-schema.ts';
import type { Fenced } from './writing.ts';

/** The parts of a lease holder that write. Each has sessions of its own. */
const workers = ['stream', 'snapshot', 'lead', 'jobs'] as const;
type Worker = (typeof workers)[number];

/** Names a session after the lease it works under, so that the next lease holder can end it. */
function sessionName(worker: Worker, replica: string, epoch: bigint): string {
  return `tidegate ${worker} #${epoch} ${shortened(replica)}`;
}

/** A regular expression for the names of the sessions of every lease of a replica. Its group is the epoch. */
export function sessionNames(replica: string): string {
  return `^tidegate (?:${workers.join('|')}) #([0-9]+) ${shortened(replica)}$`;
}

/** The name of a replica may exceed PostgreSQL's limit for session names, and truncated names may be equal. */
export function shortened(replica: string): string {
  return createHash('sha256').update(replica).digest('hex').slice(0, 12);
}

/**
 * The one way for a lease holder to write at the target: a session whose transactions ask for the epoch before they commit.
 *
 * Invariant: a transaction commits only while its lease is the newest one, and only if each table whose rows it has written is the table
 * that Tidegate made. The epoch is a key of the lease. So a `for key share` lock on it holds off a new epoch until the commit, but neither a
 * renewal nor another transaction of the holder
 * (https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-ROWS).
 */
export class Fence {
  readonly session: WritingSession;
  readonly #epoch: bigint;

  private constructor(session: WritingSession, epoch: bigint) {
    this.session = session;
    this.#epoch = epoch;
  }

  /** Opens a session in a scope, for the holder of the lease with this epoch. Raises what `WritingSession.open` raises. */
  static async open(scope: Scope, target: TargetConfig, worker: Worker, epoch: bigint): Promise<Fence> {
    return new Fence(await WritingSession.open(scope, target, sessionName(worker, target.schema, epoch)), epoch);
  }

  /**
   * Runs `work` in a transaction and commits it. `tables`: those whose rows it writes. Raises lease-lost and target-foreign, and then
   * nothing was written.
   */
  async transaction<T>(work: (trx: Fenced) => Promise<T>, tables: readonly string[] = []): Promise<T> {
    return await this.session.transaction(async (trx) => {
      const result = await work(trx as Fenced);
      await this.#assert(trx, tables);
      return result;
    });
  }

  /** Begins a transaction that several batches write. */
  async begin(): Promise<FencedTransaction> {
    const trx = await this.session.begin();
    return {
      trx: trx as ControlledTransaction<ControlSchema> & Fenced,
      commit: async (tables, last) => {
        await this.#assert(trx, tables);
        await last();
        await trx.commit().execute();
      },
      rollback: async () => {
        await trx.rollback().execute();
      },
    };
  }

  /** A table that was written is locked, so nobody can exchange it between this check and the commit. */
  async #assert(trx: Target, tables: readonly string[]): Promise<void> {
    const { rows } = await sql<{ foreign: string | null; isHeld: boolean }>`
      select set_config('lock_timeout', '0', true), (
        select w.name from unnest(${[...tables]}::text[]) w(name)
          left join ${sql.table('tables')} t on t.table_name = w.name
          left join pg_namespace s on s.nspname = ${this.session.targetSchema}
          left join pg_class r on r.relnamespace = s.oid and r.relname = w.name
         where t.table_oid is distinct from r.oid or r.oid is null limit 1) as foreign,
        exists (select from ${sql.table('lease')} where epoch = ${this.#epoch.toString()} for key share) as "isHeld"`.execute(
      trx,
    );
    const [found] = rows;
    if (found?.isHeld !== true) throw new TidegateError('lease-lost', 'another instance has taken over this target');
    if (found.foreign !== null) throw notOurs(this.session.targetSchema, found.foreign);
  }
}

/** An open transaction of the lease holder. */
export interface FencedTransaction {
  readonly trx: Fenced;
  /**
   * `tables`: those whose rows it has written. `last` writes control tables, and waits for their locks without a limit. Raises lease-lost and
   * target-foreign; then only a rollback is left.
   */
  commit(tables: readonly string[], last: () => Promise<void>): Promise<void>;
  rollback(): Promise<void>;
}
