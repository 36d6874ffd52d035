import type { Conversion } from '../../change/conversion.ts';
import type { LineBuffer } from '../../change/line-buffer.ts';
import type { RejectedRow } from '../../change/rejected-row.ts';
import { fromMysql } from '../../errors/mysql-errors.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { ConversionJournal, type TableCodec, takeConversions } from '../../mapping/table-codec.ts';
import type { SourceConnection } from '../connection.ts';
import { type ReadLimits, RowPackets, sendRowPackets } from '../wire/row-packets.ts';

export interface Chunk {
  /** Rows read, including rejected ones. */
  readonly rows: number;
  readonly rejected: readonly RejectedRow[];
  /** Bytes of the rejected rows. */
  readonly rejectedBytes: number;
  /** The conversions in each line, by line number, if they were requested. */
  readonly converted: ReadonlyMap<number, readonly Conversion[]>;
  /** Key of the last row as SQL literals, for the next chunk; null: there is no row. */
  readonly lastKey: string[] | null;
  /** The same key as text that PostgreSQL accepts. */
  readonly lastKeyText: string[] | null;
  /** With a condition: how many rows of the range were examined. Absent: as many as were read. */
  readonly scanned?: number;
  /** Reading stopped at a limit before the server finished, and the connection was closed for that. */
  readonly cut: boolean;
}

/**
 * Runs a chunk's select and converts its row packets directly to COPY lines. The complete chunk goes to memory before any code waits for
 * PostgreSQL. So the server's read lock (MyISAM) or read view (InnoDB) lasts no longer than the server's own work.
 *
 * At a limit the connection is closed, which ends the statement, and the rows read so far are the chunk. This bounds memory and the time
 * that others wait for the table, and rows in key order stay usable. The connection is also closed when a row cannot be read at all.
 *
 * Afterwards the codec has counted the conversions of this chunk alone. `lineByLine`: the chunk also has the conversions of each line.
 */
export async function readChunk(
  connection: SourceConnection,
  query: string,
  codec: TableCodec,
  out: LineBuffer,
  limits: ReadLimits,
  lineByLine = false,
): Promise<Chunk> {
  // Discards the counts of an earlier read that failed.
  takeConversions(codec);
  const { role } = connection;
  const { table } = codec.schema;
  const journal = lineByLine ? new ConversionJournal(codec) : null;
  return await connection.answer<Chunk>((resolve, reject) => {
    const command = new RowPackets(query, codec, out, limits, journal, (error) => {
      const chunk = () => ({
        rows: command.rows,
        rejected: command.rejected,
        rejectedBytes: command.rejectedBytes,
        converted: command.converted,
        lastKey: command.lastKey(),
        lastKeyText: command.lastKeyText(),
        cut: command.cut,
      });
      if (error === null) resolve(chunk());
      else reject(fromMysql(error, { what: `read table ${table}`, role, table: connection.quoteTable(table) }));
      // The server has not finished, at a limit and after an error alike.
      if (command.cut || error instanceof TidegateError) connection.destroy();
    });
    // A connection that breaks during a command reports it to the `onResult` of the command.
    sendRowPackets(connection.raw, command);
  });
}
