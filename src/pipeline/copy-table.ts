import { sql } from 'kysely';
import type { Config } from '../config/config.ts';
import { LineBuffer } from '../change/line-buffer.ts';
import { failpoint } from '../errors/failpoint.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import type { TableCodec } from '../mapping/table-codec.ts';
import { chunkQuery } from '../source/chunk-query.ts';
import { type Chunk, readChunk } from '../source/chunk-reader.ts';
import { SourceConnection } from '../source/connection.ts';
import { assertEpoch } from '../target/checkpoint.ts';
import { recordConversions } from '../target/conversions.ts';
import type { TargetSession } from '../target/session.ts';
import { columnList, quoteTable } from '../target/tables.ts';
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

/** One worker's connections: a reader that may have to be replaced, and PostgreSQL sessions that take chunks in turn. */
export interface CopyWorker {
  reader: SourceConnection;
  readonly writers: readonly TargetSession[];
}

/** Sessions that write one table's chunks side by side; one PostgreSQL backend cannot keep up with one reader. */
export const writersPerTable = 2;

/**
 * Copies what is left of a table, chunk by chunk in key order. Each chunk is one PostgreSQL transaction of its rows and the
 * key it ends with, so a crash costs at most the chunks under way.
 *
 * Reading goes on while chunks are written, two at a time. They commit in order all the same: each moves the progress on from
 * exactly the key the one before it ended with, so it waits for that one's row lock, and if that one fails, so does it.
 */
export async function copyTable(
  config: Config,
  epoch: bigint,
  worker: CopyWorker,
  task: CopyTask,
  onProgress: (progress: CopyProgress) => void,
  signal: AbortSignal,
): Promise<number> {
  const { codec, estimatedRows } = task;
  const { table } = codec.schema;
  const size = new ChunkSize(task.engine);
  // One more than there are writers: the chunk being read.
  const buffers = Array.from({ length: worker.writers.length + 1 }, () => new LineBuffer());
  const writes: Promise<void>[] = [];
  let after = task.copiedKey;
  let rows = task.copiedRows;

  const read = async (lines: LineBuffer): Promise<{ chunk: Chunk; isLast: boolean }> => {
    lines.length = 0;
    const asked = size.rows;
    const started = performance.now();
    const query = chunkQuery(config.source.database, codec, after, asked);
    const chunk = await readChunk(worker.reader, query, codec, lines, maxChunkBytes);
    size.observe(chunk.rows, performance.now() - started, lines.length);
    if (chunk.cut) worker.reader = await SourceConnection.open(config.source, 'reader');
    return { chunk, isLast: chunk.rows < asked && !chunk.cut };
  };

  try {
    for (let turn = 0; ; turn++) {
      // Its last user is the write `writers.length` turns ago, or one before that; both are awaited below.
      const lines = buffers[turn % buffers.length] as LineBuffer;
      const { chunk, isLast } = await read(lines);
      signal.throwIfAborted();
      if (chunk.lastKey !== null) {
        const before = after;
        after = chunk.lastKey;
        rows += chunk.rows;
        const copied = { before, after: chunk.lastKey, rows };
        await writes[turn - worker.writers.length];
        const writer = worker.writers[turn % worker.writers.length] as TargetSession;
        const write = writeChunk(config.target.schema, epoch, writer, codec, lines, copied).then(() =>
          onProgress({ table, rows: copied.rows, estimatedRows }),
        );
        // It is awaited later; until then a failure must not count as unhandled.
        write.catch(() => undefined);
        writes.push(write);
      }
      if (isLast || chunk.lastKey === null) break;
    }
    await Promise.all(writes);
  } finally {
    await Promise.allSettled(writes);
  }
  return rows;
}

interface CopiedChunk {
  /** Key that the chunk before ended with; null: this is the first. */
  readonly before: readonly string[] | null;
  readonly after: readonly string[];
  /** Rows copied up to here. */
  readonly rows: number;
}

async function writeChunk(
  schemaName: string,
  epoch: bigint,
  target: TargetSession,
  codec: TableCodec,
  lines: LineBuffer,
  { before, after, rows }: CopiedChunk,
): Promise<void> {
  const { table } = codec.schema;
  await target.transaction(async (trx) => {
    await assertEpoch(trx, schemaName, epoch);
    await target.copy(quoteTable(schemaName, table), columnList(codec.schema), [lines.bytes.subarray(0, lines.length)]);
    const { numUpdatedRows } = await trx
      .updateTable('tidegate.tables')
      .set({ copied_key: JSON.stringify(after), copied_rows: rows, updated_at: sql`now()` })
      .where('replica', '=', schemaName)
      .where('table_name', '=', table)
      .where(sql<boolean>`copied_key is not distinct from ${before === null ? null : JSON.stringify(before)}::jsonb`)
      .executeTakeFirst();
    if (numUpdatedRows !== 1n)
      throw new TidegateError('target-busy', `a chunk of table ${table} came before the one it follows`);
    await recordConversions(trx, schemaName, [codec]);
    failpoint('chunk-copied');
  });
  failpoint('chunk-committed');
}
