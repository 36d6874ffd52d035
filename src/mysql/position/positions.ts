import type { Position } from '../../change/position.ts';
import { sleep } from '../../lifetime/backoff.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { SourceConnection, TextRow } from '../connection.ts';
import { quoteText } from '../identifiers.ts';
import type { PositionFlavor } from '../server-flavor.ts';
import { isAtLeast } from '../server-version.ts';

/** A row may be logged this long before other sessions see it, if no commit waits for a replica. Measured at 108 ms. */
export const visibleAfterMs = 2_000;

/** A server that numbers transactions finds a position by GTID, on any of its replicas. Other servers find it by file and offset. */
export function startsByGtid(server: PositionFlavor, start: Position): boolean {
  return server.gtids && start.gtid !== null && start.gtid !== '';
}

/**
 * The end of the binlog now, by file and offset alone. MariaDB would have to read the complete file to find the GTID of a position. Needs
 * REPLICATION CLIENT (MariaDB 10.5.2 and later: BINLOG MONITOR).
 */
export async function readHead(replicator: SourceConnection): Promise<Position> {
  const row = await readBinlogStatus(replicator);
  const file = row['File'];
  if (file === undefined || file === null) throw noBinlog();
  return { file, offset: Number(row['Position']), gtid: null };
}

/** File, Position, Binlog_Do_DB and so on; empty if there is no binlog. MySQL 8.2 renamed `show master status`. */
export async function readBinlogStatus(replicator: SourceConnection): Promise<TextRow> {
  const isRenamed = replicator.version !== null && isAtLeast(replicator.version, { mariadb: null, mysql: [8, 2] });
  const rows = await replicator.query(isRenamed ? 'show binary log status' : 'show master status');
  return rows[0] ?? {};
}

/**
 * A position from which a stream brings all changes that a select misses, if the select starts after this returns. The server logs a row
 * before other sessions can see it. The gap is seconds if commits wait for a semi-synchronous replica in between. So "position, then
 * select" would lose such rows for good:
 *
 * - MariaDB: the position of a consistent read view itself. It is exact for InnoDB, takes no lock, and needs no privilege beyond SELECT
 *   (https://mariadb.com/kb/en/enhancements-for-start-transaction-with-consistent-snapshot/). The position covers a statement on another
 *   engine only after the statement has waited for the replica. Its rows become visible right afterwards, when it unlocks the table.
 * - MySQL with GTIDs: the server adds a transaction to the executed set only after its rows are visible, so the set is safe at once.
 * - MySQL without GTIDs: a position that has been current for a while.
 */
export async function readSnapshotPosition(
  reader: SourceConnection,
  replicator: SourceConnection,
  server: PositionFlavor,
  allInnodb: boolean,
  signal: AbortSignal,
): Promise<Position> {
  if (server.flavor === 'mariadb') {
    const position = await readViewPosition(reader);
    if (!allInnodb) await untilVisible(signal);
    return position;
  }
  // File and offset first: they may be earlier than the set, never later.
  const head = await readHead(replicator);
  if (server.gtids) {
    const [row] = await replicator.query('select @@global.gtid_executed as gtid');
    return { ...head, gtid: (row?.['gtid'] ?? '').replaceAll(/\s/g, '') };
  }
  await untilVisible(signal);
  return head;
}

async function untilVisible(signal: AbortSignal): Promise<void> {
  await sleep(visibleAfterMs, signal);
  signal.throwIfAborted();
}

/** Opens a consistent read view on MariaDB and returns its position in the binlog, by file and offset. */
export async function openViewAt(reader: SourceConnection): Promise<Position> {
  await reader.query('start transaction with consistent snapshot');
  const rows = await reader.query(`show status like 'binlog_snapshot_%'`);
  const status = new Map(rows.map((row) => [row['Variable_name']?.toLowerCase(), row['Value'] ?? ''] as const));
  const file = status.get('binlog_snapshot_file') ?? '';
  if (file === '') throw noBinlog();
  return { file, offset: Number(status.get('binlog_snapshot_position')), gtid: null };
}

async function readViewPosition(reader: SourceConnection): Promise<Position> {
  try {
    const { file, offset } = await openViewAt(reader);
    const [found] = await reader.query(`select binlog_gtid_pos(${quoteText(file)}, ${offset}) as gtid`);
    return { file, offset, gtid: found?.['gtid'] ?? null };
  } finally {
    await reader.query('commit');
  }
}

function noBinlog(): TidegateError {
  return new TidegateError('source-settings', 'the source writes no binlog (log_bin is off)');
}

/** The binlog files that the source still has, oldest first, with their sizes in bytes. */
export async function readBinlogFiles(replicator: SourceConnection): Promise<{ file: string; size: number }[]> {
  const rows = await replicator.query('show binary logs');
  return rows.map((row) => ({ file: row['Log_name'] ?? '', size: Number(row['File_size']) }));
}

/**
 * Makes sure that the source can still send everything after `position`. Raises position-lost if it has purged what is needed. Raises
 * source-diverged if it lacks what the position covers.
 */
export async function assertReachable(
  replicator: SourceConnection,
  server: PositionFlavor,
  position: Position,
  byGtid: boolean,
): Promise<void> {
  if (!byGtid) await assertFileReachable(replicator, position);
  else if (server.flavor === 'mysql') await assertMysqlGtidsReachable(replicator, position.gtid ?? '');
  else await assertMariadbGtidsReachable(replicator, position.gtid ?? '');
}

async function assertMysqlGtidsReachable(replicator: SourceConnection, gtids: string): Promise<void> {
  const [row] = await replicator.query(
    `select gtid_subset(@@global.gtid_purged, ${quoteText(gtids)}) as kept,
            gtid_subset(${quoteText(gtids)}, @@global.gtid_executed) as known`,
  );
  if (row?.['known'] !== '1') throw lacksApplied();
  if (row['kept'] !== '1') throw purgedUnapplied();
}

/**
 * A domain is one sequence, whichever server wrote to it, and a position is the last transaction in each domain. The binlog state names the
 * last transaction of each server in each domain. Everything before the oldest file is gone
 * (https://mariadb.com/kb/en/gtid/#gtid_binlog_state).
 */
async function assertMariadbGtidsReachable(replicator: SourceConnection, gtids: string): Promise<void> {
  const [oldest] = await readBinlogFiles(replicator);
  const [row] = await replicator.query(
    `select @@global.gtid_binlog_state as state, binlog_gtid_pos(${quoteText(oldest?.file ?? '')}, 4) as gone`,
  );
  const applied = readMariadbGtids(gtids);
  const state = readMariadbGtids(row?.['state'] ?? '');
  const has = (one: MariadbGtid) =>
    state.some(
      ({ domain, server, sequence }) => domain === one.domain && server === one.server && sequence >= one.sequence,
    );
  if (!applied.every(has)) throw lacksApplied();
  const isApplied = (one: MariadbGtid) =>
    applied.some(({ domain, sequence }) => domain === one.domain && sequence >= one.sequence);
  if (!readMariadbGtids(row?.['gone'] ?? '').every(isApplied)) throw purgedUnapplied();
}

interface MariadbGtid {
  readonly domain: string;
  readonly server: string;
  readonly sequence: bigint;
}

/** `domain-server-sequence`, separated by commas. */
function readMariadbGtids(text: string): MariadbGtid[] {
  return [...text.matchAll(/(\d+)-(\d+)-(\d+)/g)].map(([, domain = '', server = '', sequence = '']) => ({
    domain,
    server,
    sequence: BigInt(sequence),
  }));
}

async function assertFileReachable(replicator: SourceConnection, position: Position): Promise<void> {
  const files = await readBinlogFiles(replicator);
  const found = files.find(({ file }) => file === position.file);
  if (found === undefined)
    throw new TidegateError('position-lost', `the source no longer has binlog file ${position.file}`);
  if (found.size < position.offset)
    throw new TidegateError(
      'source-diverged',
      `binlog file ${position.file} ends at ${found.size}, before the checkpoint's ${position.offset}`,
    );
}

function purgedUnapplied(): TidegateError {
  return new TidegateError('position-lost', 'the source has purged transactions that were not applied yet');
}

function lacksApplied(): TidegateError {
  return new TidegateError('source-diverged', 'the target has transactions that this source does not have');
}
