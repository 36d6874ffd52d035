import { type Position, comparePositions } from '../../change/position.ts';
import { sleep } from '../../lifetime/backoff.ts';
import type { SourceConnection } from '../connection.ts';
import { quoteText } from '../identifiers.ts';
import { openViewAt } from './positions.ts';

const askAgainMs = 5;

/**
 * Opens a read view on MariaDB that shows every transaction up to `position`, and returns the view's own position in the binlog. For InnoDB
 * the view shows exactly what was logged before that position. The caller ends it with `commit`.
 */
export async function openViewBehind(
  reader: SourceConnection,
  position: Position,
  signal: AbortSignal,
): Promise<Position> {
  for (;;) {
    const viewed = await openViewAt(reader);
    if (comparePositions(viewed, position) >= 0) return viewed;
    await reader.query('commit');
    await sleep(askAgainMs, signal);
    signal.throwIfAborted();
  }
}

/** Returns once a select on MySQL shows every transaction of a GTID set. */
export async function untilExecuted(replicator: SourceConnection, gtids: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    const [row] = await replicator.query(`select gtid_subset(${quoteText(gtids)}, @@global.gtid_executed) as known`);
    if (row?.['known'] === '1') return;
    await sleep(askAgainMs, signal);
    signal.throwIfAborted();
  }
}
