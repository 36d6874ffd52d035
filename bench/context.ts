import type { SourceServer, TargetServer } from '../testing/servers/server.ts';

/** What every bench gets: one pair of servers, the same for all sides it compares. */
export interface BenchContext {
  readonly source: SourceServer;
  readonly target: TargetServer;
  /** Smaller tables and fewer rounds, for a look while developing; bars are still shown. */
  readonly quick: boolean;
  readonly say: (text: string) => void;
}

/**
 * Settings of servers that keep what they acknowledge: both sync at commit. Buffers are large enough that the table in use is
 * not read back from disk, and small enough for a small machine.
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
