import type { SourceServer, TargetServer } from '../testing/servers/server.ts';

/** The input of every bench: one pair of servers, the same for all sides that it compares. */
export interface BenchContext {
  readonly source: SourceServer;
  readonly target: TargetServer;
  /** Smaller tables and fewer rounds for development; bars are still shown. */
  readonly quick: boolean;
  readonly say: (text: string) => void;
}

/**
 * Settings of durable servers: both sync at commit. The buffers hold the table in use, so it is not read back from disk, and fit
 * on a small machine.
 */
export const durableSource: readonly string[] = [
  '--innodb-flush-log-at-trx-commit=1',
  '--sync-binlog=1',
  '--innodb-buffer-pool-size=512M',
  '--innodb-log-file-size=256M',
  '--max-binlog-size=1G',
];

export const durableTarget: readonly string[] = [
  '-c',
  'fsync=on',
  '-c',
  'synchronous_commit=on',
  '-c',
  'full_page_writes=on',
  '-c',
  'shared_buffers=512MB',
  '-c',
  'max_wal_size=4GB',
  '-c',
  'checkpoint_timeout=30min',
];
