import type { Config } from '../config/config.ts';
import { matchesAny } from '../config/table-filter.ts';
import type { ChangeBatch } from '../change/change-batch.ts';
import { type Position, comparePositions } from '../change/position.ts';
import type { TableCodec } from '../mapping/table-codec.ts';
import { BinlogCursor } from '../source/binlog/binlog-cursor.ts';
import { BinlogDecoder } from '../source/binlog/binlog-decoder.ts';
import { BinlogStream } from '../source/binlog/binlog-stream.ts';
import { mariadbGtids, mysqlGtids } from '../source/binlog/gtid-progress.ts';
import { type StreamTable, StreamTables } from '../source/binlog/stream-tables.ts';
import { startsByGtid } from '../source/positions.ts';
import type { ServerFlavor } from '../source/server-flavor.ts';
import { Applier } from '../target/applier.ts';
import { sessionName } from '../target/lease.ts';
import { TargetSession } from '../target/session.ts';
import { BatchQueue } from './batch-queue.ts';

export interface StreamOptions {
  readonly start: Position;
  readonly tables: readonly StreamTable[];
  readonly server: ServerFlavor;
  readonly epoch: bigint;
  /** Return once the target has got here; null: go on for ever. */
  readonly until: Position | null;
  /** A batch is durable. */
  readonly onApplied: (batch: ChangeBatch) => void;
}

/**
 * Tails the binlog from `start` and applies it, until `signal` aborts (then the batch under way is still finished), `until` is
 * reached, or something fails; `hangUp` breaks the target connection off. Nothing survives a failure but the checkpoint, which is all that is needed to begin again.
 */
export async function streamChanges(
  config: Config,
  options: StreamOptions,
  signal: AbortSignal,
  hangUp: AbortSignal,
): Promise<void> {
  const { start, server } = options;
  if (options.until !== null && comparePositions(start, options.until) >= 0) return;
  const codecs = new Map<string, TableCodec>(options.tables.map(({ codec }) => [codec.schema.table, codec]));
  const target = await TargetSession.open(
    config.target,
    sessionName('stream', config.target.schema, options.epoch),
    hangUp,
  );
  const cursor = new BinlogCursor(start, server.flavor === 'mysql' ? mysqlGtids(start.gtid) : mariadbGtids(start.gtid));
  const tables = new StreamTables(config.source.database, server.foldNames, options.tables);
  const reader = new BinlogStream(
    config.source,
    start,
    startsByGtid(server, start),
    (checksums) => new BinlogDecoder(cursor, tables, queue, server.serverId, checksums),
  );
  const queue = new BatchQueue(reader, cursor.gtids, start);
  const stop = () => queue.stop();
  signal.addEventListener('abort', stop, { once: true });
  reader.failed.catch((error: Error) => queue.fail(error));
  try {
    const applier = await Applier.start(target, {
      schema: config.target.schema,
      epoch: options.epoch,
      codecs,
      start,
      isHalting: matchesAny(config.tables.halt),
    });
    while (!signal.aborted) {
      const batch = await queue.take();
      if (batch === null) return;
      await applier.apply(batch);
      if (batch.open) continue;
      options.onApplied(batch);
      if (options.until !== null && batch.end !== null && comparePositions(batch.end.position, options.until) >= 0)
        return;
    }
  } finally {
    signal.removeEventListener('abort', stop);
    reader.close();
    await target.close();
  }
}
