import type { ChangeBatch } from '../change/change-batch.ts';
import type { Job } from '../target/jobs.ts';
import type { CopyProgress } from './copy-table.ts';
import type { Prepared } from './prepare.ts';
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
  /** A job began or ended. */
  job(job: Job): void;
  /** A failure that will be tried again after `delayMs`. */
  retrying(error: unknown, delayMs: number): void;
}

export interface RunOptions {
  /**
   * Return once the target has what the source had when its snapshot was complete, and every table is whole; or once these jobs
   * are ended. Else go on for ever.
   */
  readonly until: 'stopped' | 'caught-up' | { readonly ended: readonly string[] };
}
