import type { Position } from '../change/position.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import type { Job } from '../postgres/control/jobs.ts';
import type { CopyProgress } from './snapshot/copy-table.ts';
import type { Prepared } from './begin/prepare.ts';
import type { Pace } from './read/throttle.ts';

export type ServiceState = 'checking' | 'standby' | 'paused' | 'snapshotting' | 'catching-up' | 'streaming';

/**
 * The error that only a resync, or a correction of the source's address or of its accounts, repairs; null: it is another one. A service waits
 * for it.
 */
export function refusalIn(error: unknown): TidegateError | null {
  if (!(error instanceof TidegateError)) return null;
  return isRefusalKind(error.kind) || error.kind === 'privileged-source' ? error : null;
}

/** Whether a service that starts waits for it, too. */
export function isRefusalKind(kind: string | undefined): boolean {
  return kind === 'source-diverged' || kind === 'source-changed' || kind === 'position-lost';
}

/**
 * Why nothing moves although both sides are connected: the source sends nothing, PostgreSQL does not answer, or PostgreSQL does not finish
 * a batch.
 */
export type StallReason = 'source-silent' | 'target-silent' | 'target-stuck';

/** The result of a batch, or of all parts of one large transaction. It is durable. */
export interface Applied {
  readonly transactions: number;
  /** Row changes read. */
  readonly rows: number;
  /** Bytes of changes in memory. */
  readonly bytes: number;
  /** The time that PostgreSQL took. */
  readonly seconds: number;
  /** Rows written or deleted, by table. */
  readonly tables: ReadonlyMap<string, number>;
  /** Rows that became dead letters, by table. */
  readonly rejected: ReadonlyMap<string, number>;
  /** Tables that were suspended, with the reason. */
  readonly suspended: ReadonlyMap<string, string>;
  /** The target is complete up to here. */
  readonly position: Position | null;
}

/** What the replicator reports: names and counts only. */
export interface ServiceListener {
  state(state: ServiceState): void;
  prepared(prepared: Prepared): void;
  progress(progress: CopyProgress): void;
  copied(table: string, rows: number): void;
  pace(pace: Pace): void;
  /** How long the source was busy with a chunk. */
  chunk(elapsedMs: number): void;
  applied(applied: Applied): void;
  /** How many more bytes of binlog were received. */
  read(bytes: number): void;
  /** The stream is stalled; null: it moves again. */
  stalled(reason: StallReason | null): void;
  suspended(table: string, reason: string): void;
  /** A job started or ended. */
  job(job: Job): void;
  /** The service waits for a resync, or until the source is the right one. */
  refused(error: TidegateError): void;
  /** A failure occurred, and the next attempt follows after `delayMs`. */
  retrying(error: unknown, delayMs: number): void;
}

export interface RunOptions {
  /**
   * When to return. `caught-up`: the target has what the source had when its snapshot was complete, and every table is complete.
   * `ended`: these jobs have ended. `stopped`: never by itself.
   */
  readonly until: 'stopped' | 'caught-up' | { readonly ended: readonly string[] };
  /** Source accounts with too many rights are accepted. For development. */
  readonly allowPrivilegedSource?: boolean;
}
