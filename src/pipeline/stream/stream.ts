import type { ChangeBatch } from '../../change/change-batch.ts';
import type { Config } from '../../config/config.ts';
import { matchesAny } from '../../config/table-filter.ts';
import { type Position, comparePositions } from '../../change/position.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import { BinlogCursor } from '../../mysql/binlog/binlog-cursor.ts';
import { BinlogDecoder } from '../../mysql/binlog/binlog-decoder.ts';
import { BinlogStream } from '../../mysql/binlog/binlog-stream.ts';
import { GroupHistory } from '../../mysql/binlog/group-history.ts';
import { mariadbGtids, mysqlGtids } from '../../mysql/binlog/gtid-progress.ts';
import { type StreamTable, StreamTables } from '../../mysql/binlog/stream-tables.ts';
import { startsByGtid } from '../../mysql/position/positions.ts';
import type { ProofStart } from '../../mysql/position/proof-start.ts';
import type { ServerFlavor } from '../../mysql/server-flavor.ts';
import { Applier } from '../../postgres/rows/applier.ts';
import { Fence } from '../../postgres/control/fence.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { Scope } from '../../lifetime/scope.ts';
import { BatchQueue } from './batch-queue.ts';
import { DumpWatch } from './dump-watch.ts';
import type { Applied } from '../service-listener.ts';
import { StreamView, type Merge } from './stream-view.ts';
import { type StallListener, StallWatch } from './stall-watch.ts';

export interface StreamOptions {
  /** The checkpoint. */
  readonly start: Position;
  /** Where the dump starts, at or before the checkpoint. */
  readonly proof: ProofStart;
  readonly tables: readonly StreamTable[];
  readonly server: ServerFlavor;
  readonly epoch: bigint;
  /** Return once the target is at this position and `beside` is done; null: run forever. */
  readonly until: Position | null;
  /** Work beside the stream. Resolves when none is left, or with `again` when the stream must restart for it. */
  readonly beside: (scope: Scope, live: StreamView) => Promise<'done' | 'again'>;
  /** A batch is durable. */
  readonly onApplied: (applied: Applied) => void;
  readonly stalls: StallListener;
}

/**
 * Tails the binlog from `start` and applies it. It ends when the scope stops, `until` is reached, `beside` asks for a restart, or something
 * fails. After a stop of the scope the present batch is still finished; a hang-up of it closes every connection at once. Only the checkpoint survives a
 * failure, and a restart needs nothing else.
 */
export async function streamChanges(scope: Scope, config: Config, options: StreamOptions): Promise<'done' | 'again'> {
  const { signal } = scope;
  const { start, proof, server, until } = options;
  const codecs = new Map<string, TableCodec>(options.tables.map(({ codec }) => [codec.schema.table, codec]));
  const fence = await Fence.open(scope, config.target, 'stream', options.epoch);
  const history = new GroupHistory(start, proof.witnesses);
  const cursor = new BinlogCursor(
    proof.start,
    server.flavor === 'mysql' ? mysqlGtids(start.gtid) : mariadbGtids(start.gtid),
  );
  const tables = new StreamTables(config.source.database, server.foldNames, options.tables);
  const reader = new BinlogStream(
    scope,
    config.source,
    proof.start,
    startsByGtid(server, proof.start),
    (checksums) => new BinlogDecoder(cursor, tables, queue, history, server.serverId, checksums),
  );
  const queue = new BatchQueue(reader, cursor.gtids, history, start);
  const watch = new StallWatch(reader, options.stalls);
  const dump = new DumpWatch(
    scope,
    config.source,
    () => (reader.isIdle ? cursor.position : null),
    (error) => queue.fail(error),
  );
  const stop = () => queue.stop();
  signal.addEventListener('abort', stop, { once: true });
  reader.failed.catch((error: Error) => queue.fail(history.judged(error) as Error));
  const live = new StreamView(start, (position) => queue.want(position), tables.unlisted);
  await using besideScope = scope.child();
  const beside: { state: 'busy' | 'done' | 'again' } = { state: 'busy' };
  const work = options.beside(besideScope, live).then(
    (outcome) => {
      beside.state = outcome;
      queue.wake();
    },
    (error: Error) => queue.fail(error),
  );
  /** The stream came to its end by itself, not by a failure. */
  let isOver = false;
  try {
    const applier = await Applier.start(fence, {
      schema: config.target.schema,
      codecs,
      start,
      isHalting: matchesAny(config.tables.halt),
    });
    let tally = new Tally();
    let isCutOff = false;
    const merge: Merge = async (changes) => await applier.merge(changes);
    while (!signal.aborted) {
      if (beside.state === 'again') {
        isOver = true;
        return 'again';
      }
      if (beside.state === 'done' && until !== null && comparePositions(live.position, until) >= 0) break;
      const batch = await queue.take();
      if (batch === null) break;
      isCutOff ||= batch.isCutOff;
      if (!batch.isEmpty) {
        if (batch.isCutOff) tally = new Tally();
        tally.add(batch, await watch.writing(async () => await applier.apply(batch)));
        live.applied(batch);
        if (batch.open) continue;
        options.onApplied(tally.take(batch));
      }
      // Work beside the stream may count on rows of the transaction that was dropped, and the decoder on tables that it suspended.
      if (isCutOff) {
        isOver = true;
        return 'again';
      }
      await watch.writing(async () => await live.rest(merge));
    }
    isOver = true;
    return 'done';
  } finally {
    signal.removeEventListener('abort', stop);
    reader.close();
    dump.close();
    watch.close();
    const ended = new TidegateError('internal', 'the stream ended');
    live.end(ended);
    // A job must not wait for a server that the stream has lost.
    if (isOver) besideScope.stop(ended);
    else besideScope.hangUp(ended);
    await work;
  }
}

/** The totals of a transaction over all its parts. */
class Tally {
  #transactions = 0;
  #rows = 0;
  #bytes = 0;
  #seconds = 0;
  #tables = new Map<string, number>();

  add(batch: ChangeBatch, seconds: number): void {
    this.#transactions += batch.transactions;
    this.#rows += batch.rows;
    this.#bytes += batch.size;
    this.#seconds += seconds;
    for (const [table, { keyCount }] of batch.tables)
      this.#tables.set(table, keyCount + (this.#tables.get(table) ?? 0));
  }

  /** Returns the totals with the batch that ends the transaction, and starts again from zero. */
  take({ rejected, suspended, end }: ChangeBatch): Applied {
    const applied = {
      ...{
        transactions: this.#transactions,
        rows: this.#rows,
        bytes: this.#bytes,
        seconds: this.#seconds,
        tables: this.#tables,
      },
      ...{ rejected, suspended, position: end?.position ?? null },
    };
    this.#transactions = this.#rows = this.#bytes = this.#seconds = 0;
    this.#tables = new Map();
    return applied;
  }
}
