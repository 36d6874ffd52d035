import { isDeepStrictEqual } from 'node:util';
import { LineBuffer } from '../../change/line-buffer.ts';
import type { ColumnSchema } from '../../definition/table-schema.ts';
import type { Config } from '../../config/config.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { type TableCodec, takeConversions } from '../../mapping/table-codec.ts';
import { readColumns } from '../../mysql/catalog/catalog.ts';
import { wholeQuery } from '../../mysql/chunk/chunk-query.ts';
import { readChunk } from '../../mysql/chunk/chunk-reader.ts';
import { replaceConversions } from '../../postgres/control/conversions.ts';
import { refreshRows } from '../../postgres/rows/refresh-rows.ts';
import { unconfirmedDeletions } from '../../postgres/rows/tables.ts';
import { checkLines } from '../../postgres/rows/line-check.ts';
import { type Job, type JobCounts, isAutomatic } from '../../postgres/control/jobs.ts';
import type { Fence } from '../../postgres/control/fence.ts';
import { entireTableLimits } from '../read/chunk-size.ts';
import type { PlannedTable } from '../begin/table-plan.ts';
import type { ReaderSlot } from '../read/table-reader.ts';
import type { Throttle } from '../read/throttle.ts';

/** The source now has other columns than the table was added with. */
export class TableRedefined extends Error {}

/**
 * Copies an entire table that has no key. One select reads it, so all rows are of one moment. One transaction writes it at the target.
 * The select is limited in bytes and time. While it runs, sessions that alter the table wait, and on MyISAM sessions that write, too.
 * Raises refused for a table that is larger or slower, and for a row that cannot be carried. Without a key there can be no dead letter,
 * so the target stays unchanged. Raises TableRedefined when the table must be added again.
 */
export async function refresh(
  config: Config,
  job: Job,
  { codec }: PlannedTable,
  connection: ReaderSlot,
  fence: Fence,
  throttle: Throttle,
  signal: AbortSignal,
): Promise<Partial<JobCounts>> {
  const { schema } = codec;
  const replica = config.target.schema;
  const lines = new LineBuffer();
  const read = async () => {
    const started = performance.now();
    const query = wholeQuery(config.source.database, codec);
    const chunk = await readChunk(connection.reader, query, codec, lines, entireTableLimits);
    return { ...chunk, elapsedMs: performance.now() - started };
  };
  const chunk = await throttle
    .chunk(() => connection.reader, read, signal)
    .catch(async (error: unknown) => {
      await assertDefinition(config, connection, codec);
      throw error;
    });
  // The stream does not report this. The check comes after the rows, so it holds for the rows as they were read.
  await assertDefinition(config, connection, codec);
  const conversions = takeConversions(codec);
  if (chunk.cut) {
    const { bytes, ms } = entireTableLimits;
    const isLarge = lines.length + chunk.rejectedBytes >= bytes;
    const found = isLarge
      ? `more than ${bytes / 1024 / 1024} MiB is too much`
      : `reading it takes too long (${ms / 1000} s)`;
    throw new TidegateError('refused', `table ${schema.table} has no key, and ${found} for a full refresh`);
  }
  const checked = checkLines(lines.bytes.subarray(0, lines.length), schema);
  const [bad] = [...chunk.rejected, ...checked.rejected];
  if (bad !== undefined)
    throw new TidegateError(
      'refused',
      `table ${schema.table}: ${bad.column === null ? '' : `column ${bad.column}: `}a row cannot be carried: ${bad.reason}; without a key there is no dead letter for it`,
    );
  signal.throwIfAborted();
  const { missing, extra } = await fence.transaction(
    async (trx) => {
      const written = await refreshRows(fence.session, trx, replica, codec, checked.lines);
      if (isAutomatic(job) && !job.confirmed) assertFewLost(schema.table, chunk.rows, written);
      await replaceConversions(trx, schema.table, conversions);
      return written;
    },
    [schema.table],
  );
  return { rows: chunk.rows, missing, extra, repaired: missing + extra };
}

/**
 * Raises unconfirmed if the table has lost more rows than may be deleted without a confirmation. Without a key a changed row counts as one
 * deleted and one inserted, so only the difference tells.
 */
function assertFewLost(table: string, rows: number, { missing, extra }: { missing: number; extra: number }): void {
  const lost = extra - missing;
  const limit = Math.max(unconfirmedDeletions.rows, Math.floor((rows + lost) * unconfirmedDeletions.share));
  if (lost <= limit) return;
  throw new TidegateError(
    'unconfirmed',
    `table ${table}: the source lacks ${lost} of the target's rows, and deleting so many must be confirmed: tidegate backfill ${table} --yes`,
  );
}

/** Raises TableRedefined if the columns have changed. A closed connection cannot be asked and raises nothing. */
async function assertDefinition(config: Config, { reader }: ReaderSlot, { source }: TableCodec): Promise<void> {
  if (!reader.isOpen) return;
  const columns = (await readColumns(reader, config.source.database)).get(source.table) ?? [];
  const asDefined = (column: ColumnSchema) => ({ ...column, rule: undefined });
  if (!isDeepStrictEqual(columns.map(asDefined), source.columns.map(asDefined))) throw new TableRedefined();
}
