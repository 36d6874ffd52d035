import { sql } from 'kysely';
import type { Config } from '../../config/config.ts';
import { matchesAny } from '../../config/table-filter.ts';
import { failpoint } from '../../lifetime/failpoint.ts';
import type { Scope } from '../../lifetime/scope.ts';
import { isRowRefusal } from '../../errors/postgres-errors.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import type { ServerFlavor } from '../../mysql/server-flavor.ts';
import type { Fence } from '../../postgres/control/fence.ts';
import { recordConversions } from '../../postgres/control/conversions.ts';
import { assertNotTooMany, badRow, writeDeadLetters } from '../../postgres/rows/dead-letters.ts';
import { checkLines } from '../../postgres/rows/line-check.ts';
import type { Fenced } from '../../postgres/control/writing.ts';
import { swallowedBy } from '../../postgres/rows/swallowed-writes.ts';
import { addPrimaryKey, columnList, quoteTable } from '../../postgres/rows/tables.ts';
import { copyRuns, writeIsolating } from '../../postgres/rows/isolate-rows.ts';
import { type ReaderSlot, type TableChunk, TableReader } from '../read/table-reader.ts';
import type { Throttle } from '../read/throttle.ts';

/** A table whose snapshot is in progress. */
export interface CopyTask {
  readonly codec: TableCodec;
  readonly engine: string;
  readonly estimatedRows: number;
  /** Key of the last row copied in an earlier run; null at the start. */
  readonly copiedKey: readonly string[] | null;
  readonly copiedRows: number;
}

export interface CopyProgress {
  readonly table: string;
  readonly rows: number;
  /** Rows of the last chunk, which `rows` includes. */
  readonly chunkRows: number;
  /** Rows of the last chunk that became dead letters. */
  readonly rejected: number;
  readonly estimatedRows: number;
}

/** The connections of one worker: a reader that may be replaced, and a fenced session of its own. */
export interface CopyWorker extends ReaderSlot {
  readonly fence: Fence;
}

/**
 * Copies the rest of a table, chunk by chunk in key order. One PostgreSQL transaction writes the rows of a chunk and its last key. So a
 * crash loses at most the present chunk. The next chunk is read while this one is written. The target's primary key is created last.
 */
export async function copyTable(
  scope: Scope,
  config: Config,
  server: ServerFlavor,
  worker: CopyWorker,
  throttle: Throttle,
  task: CopyTask,
  onProgress: (progress: CopyProgress) => void,
): Promise<number> {
  const { signal } = scope;
  const { codec } = task;
  const { table } = codec.schema;
  const source = new TableReader(scope, config, server, worker, throttle, task);
  let after = task.copiedKey;
  let rows = task.copiedRows;
  let allRejected = 0;

  const read = async () => await source.next(after, null, signal);
  let next = read();
  for (;;) {
    const chunk = await next;
    if (chunk.rows === 0 || chunk.lastKey === null) break;
    signal.throwIfAborted();
    after = chunk.lastKey;
    rows += chunk.rows;
    if (!chunk.isLast) {
      next = read();
      // It is awaited after the write; until then a failure must not count as unhandled.
      next.catch(() => undefined);
    }
    const rejected = await writeChunk(config, worker.fence, codec, chunk, rows);
    allRejected += rejected;
    assertNotTooMany(table, allRejected);
    onProgress({ table, rows, chunkRows: chunk.rows, rejected, estimatedRows: task.estimatedRows });
    if (chunk.isLast) break;
  }
  await worker.fence.transaction(
    async (trx) => {
      // The target may share the source's machine. There, the index build must not take more than one processor from other users.
      if (throttle.pace !== 'free') await sql`set local max_parallel_maintenance_workers = 0`.execute(trx);
      await addPrimaryKey(trx, config.target.schema, codec);
    },
    [table],
  );
  return rows;
}

/**
 * Writes a chunk in one transaction. If PostgreSQL refuses a row, writes the chunk again and isolates refused rows. Returns the number
 * of dead letters.
 */
async function writeChunk(
  config: Config,
  fence: Fence,
  codec: TableCodec,
  chunk: TableChunk,
  copiedRows: number,
): Promise<number> {
  const replica = config.target.schema;
  const { schema } = codec;
  const { table } = schema;
  const { lines, rejected } = checkLines(chunk.lines.bytes.subarray(0, chunk.lines.length), schema);
  const [into, columns] = [quoteTable(replica, table), columnList(schema)];
  const counted = async (trx: Fenced, meant: number, written: number) => {
    if (written === meant) return;
    throw await swallowedBy(trx, replica, table, { what: 'insert', meant, written });
  };
  const write = async (isolates: boolean) =>
    await fence.transaction(
      async (trx) => {
        // A constraint that is checked at the commit could not name the row.
        if (isolates) await sql`set constraints all immediate`.execute(trx);
        let [meant, written] = [0, 0];
        const writeRuns = copyRuns(fence.session, into, schema, (...rows) => {
          meant += rows[0];
          written += rows[1];
        });
        const refused = isolates
          ? await writeIsolating(trx, lines, schema, writeRuns, { relations: [table], isSuspected: true })
          : [];
        if (!isolates) {
          meant = chunk.rows - chunk.rejected.length - rejected.length;
          written = await fence.session.copy(into, columns, lines);
        }
        await counted(trx, meant, written);
        const dead = [...chunk.rejected, ...rejected, ...refused];
        if (dead[0] !== undefined && matchesAny(config.tables.halt)(table)) throw badRow(table, dead[0], null);
        await writeDeadLetters(trx, table, dead, null);
        await trx
          .updateTable('tables')
          .set({ copied_key: JSON.stringify(chunk.lastKey), copied_rows: copiedRows, updated_at: sql`now()` })
          .where('table_name', '=', table)
          .execute();
        await recordConversions(trx, [[table, chunk.conversions]]);
        failpoint('chunk-copied');
        return dead.length;
      },
      [table],
    );
  const dead = await write(false).catch(async (error: unknown) => {
    if (!isRowRefusal(error)) throw error;
    return await write(true);
  });
  failpoint('chunk-committed');
  return dead;
}
