import type { Conversion } from '../../change/conversion.ts';
import type { LineBuffer } from '../../change/line-buffer.ts';
import type { RejectedRow } from '../../change/rejected-row.ts';
import { fromMysql } from '../../errors/mysql-errors.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { ConversionJournal, type TableCodec, takeConversions } from '../../mapping/table-codec.ts';
import type { SourceConnection } from '../connection.ts';
import { type ReadLimits, RowPackets, sendRowPackets } from '../wire/row-packets.ts';

export interface Chunk {
  /** Rows read, rejected ones included. */
  readonly rows: number;
  readonly rejected: readonly RejectedRow[];
  /** What the rejected ones hold. */
  readonly rejectedBytes: number;
  /** By the number of the line, what was converted in it, if that was asked for. */
  readonly converted: ReadonlyMap<number, readonly Conversion[]>;
  /** Key of the last row as SQL literals, for the next chunk; null when there is no row. */
  readonly lastKey: string[] | null;
  /** The same as text that PostgreSQL takes. */
  readonly lastKeyText: string[] | null;
  /** With a condition: how many rows of the range were looked at. Absent: as many as were read. */
  readonly scanned?: number;
  /** Reading stopped at a limit before the server was done, and the connection was given up for it. */
  readonly cut: boolean;
}

/**
 * Runs a chunk's select and turns its row packets straight into COPY lines. The whole chunk goes to memory before anything
 * waits for PostgreSQL, so the server's read lock (MyISAM) or read view (InnoDB) lasts no longer than its own work.
 *
 * At a limit the connection is hung up, which ends the statement, and what was read so far is the chunk: memory and the time that
 * somebody waits for the table stay bounded, and rows in key order stay usable. So it is when a row cannot be read at all.
 *
 * What the codec has counted of conversions afterwards is of this chunk alone. `lineByLine`: they are told of each line, too.
 */
export async function readChunk(
  connection: SourceConnection,
  query: string,
  codec: TableCodec,
  out: LineBuffer,
  limits: ReadLimits,
  lineByLine = false,
): Promise<Chunk> {
  // Left by a read that failed.
  takeConversions(codec);
  const journal = lineByLine ? new ConversionJournal(codec) : null;
  return await new Promise<Chunk>((resolve, reject) => {
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
      // The server is not done, whether it was enough or too much.
      if (command.cut || error instanceof TidegateError) connection.destroy();
      if (error === null) resolve(chunk());
      else reject(fromMysql(error, { what: `read table ${codec.schema.table}`, role: connection.role }));
    });
    // A connection that breaks under a command reports it to the command's `onResult`.
    sendRowPackets(connection.raw, command);
  });
}
