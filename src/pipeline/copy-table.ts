import { sql } from 'kysely';
import type { Config } from '../config/config.ts';
import { LineBuffer } from '../change/line-buffer.ts';
import { failpoint } from '../errors/failpoint.ts';
import type { TableCodec } from '../mapping/table-codec.ts';
import { chunkQuery } from '../source/chunk-query.ts';
import { type Chunk, readChunk } from '../source/chunk-reader.ts';
import { SourceConnection } from '../source/connection.ts';
import { assertEpoch } from '../target/checkpoint.ts';
import { recordConversions } from '../target/conversions.ts';
import type { TargetSession } from '../target/session.ts';
import { addPrimaryKey, columnList, quoteTable } from '../target/tables.ts';
import { ChunkSize, maxChunkBytes } from './chunk-size.ts';

/** A table whose snapshot is under way. */
export interface CopyTask {
  readonly codec: TableCodec;
  readonly engine: string;
  readonly estimatedRows: number;
  /** Key of the last row copied in an earlier run, null at the beginning. */
  readonly copiedKey: readonly string[] | null;
  readonly copiedRows: number;
}

export interface CopyProgress {
  readonly table: string;
  readonly rows: number;
  readonly estimatedRows: number;
}

/** One worker's connections: a reader that may have to be replaced, and its own PostgreSQL session. */
export interface CopyWorker {
  reader: SourceConnection;
  readonly target: TargetSession;
}

/**
 * Copies what is left of a table, chunk by chunk in key order. Each chunk is one PostgreSQL transaction of its rows and the
 * key it ends with, so a crash costs at most the chunk under way. The next chunk is read while this one is written. The
 * target's primary key is made last.
 */
export async function copyTable(
  config: Config,
  epoch: bigint,
  worker: CopyWorker,
  task: CopyTask,
  onProgress: (progress: CopyProgress) => void,
  signal: AbortSignal,
): Promise<number> {
  const { codec } = task;
  const { table } = codec.schema;
  const size = new ChunkSize(task.engine);
  const buffers = [new LineBuffer(), new LineBuffer()] as const;
  let after = task.copiedKey;
  let rows = task.copiedRows;
  let turn = 0;

  const read = async (): Promise<{ chunk: Chunk; lines: LineBuffer; asked: number }> => {
    const lines = buffers[turn++ % 2] as LineBuffer;
    lines.length = 0;
    const asked = size.rows;
    const started = performance.now();
    const chunk = await readChunk(
      worker.reader,
      chunkQuery(config.source.database, codec, after, asked),
      codec,
      lines,
      maxChunkBytes,
    );
    size.observe(chunk.rows, performance.now() - started, lines.length);
    if (chunk.cut) worker.reader = await SourceConnection.open(config.source, 'reader');
    return { chunk, lines, asked };
  };

  let next = read();
  for (;;) {
    const { chunk, lines, asked } = await next;
    if (chunk.rows === 0 || chunk.lastKey === null) break;
    signal.throwIfAborted();
    after = chunk.lastKey;
    rows += chunk.rows;
    const isLast = chunk.rows < asked && !chunk.cut;
    if (!isLast) {
      next = read();
      // It is awaited after the write; until then a failure must not count as unhandled.
      next.catch(() => undefined);
    }
    await writeChunk(config.target.schema, epoch, worker.target, codec, lines, after, rows);
    onProgress({ table, rows, estimatedRows: task.estimatedRows });
    if (isLast) break;
  }
  await worker.target.transaction(async (trx) => {
    await assertEpoch(trx, config.target.schema, epoch);
    await addPrimaryKey(trx, config.target.schema, codec);
  });
  return rows;
}

async function writeChunk(
  schemaName: string,
  epoch: bigint,
  target: TargetSession,
  codec: TableCodec,
  lines: LineBuffer,
  copiedKey: readonly string[],
  copiedRows: number,
): Promise<void> {
  const { table } = codec.schema;
  await target.transaction(async (trx) => {
    await assertEpoch(trx, schemaName, epoch);
    await target.copy(quoteTable(schemaName, table), columnList(codec.schema), [lines.bytes.subarray(0, lines.length)]);
    await trx
      .updateTable('tidegate.tables')
      .set({ copied_key: JSON.stringify(copiedKey), copied_rows: copiedRows, updated_at: sql`now()` })
      .where('replica', '=', schemaName)
      .where('table_name', '=', table)
      .execute();
    await recordConversions(trx, schemaName, [codec]);
    failpoint('chunk-copied');
  });
  failpoint('chunk-committed');
}
