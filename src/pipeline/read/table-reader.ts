import type { Conversion } from '../../change/conversion.ts';
import { LineBuffer } from '../../change/line-buffer.ts';
import type { Config } from '../../config/config.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { type TableCodec, convertedKeyColumn, keyCodec, takeConversions } from '../../mapping/table-codec.ts';
import { chunkQuery, filterQuery, lookupQuery } from '../../source/chunk/chunk-query.ts';
import { type Chunk, readChunk } from '../../source/chunk/chunk-reader.ts';
import { SourceConnection } from '../../source/connection.ts';
import { ChunkSize } from './chunk-size.ts';
import type { Throttle } from './throttle.ts';

/** A connection to read by, which is replaced when a chunk has to be cut short. */
export interface Reader {
  reader: SourceConnection;
}

export interface TableChunk extends Chunk {
  readonly lines: LineBuffer;
  /** Nothing is behind it. */
  readonly isLast: boolean;
  readonly conversions: readonly Conversion[];
}

/** What the selects of a chunk are surrounded by, such as a read view. */
export type Around = (reader: SourceConnection, read: () => Promise<Chunk>) => Promise<Chunk>;

const plainly: Around = async (_reader, read) => await read();

/**
 * Reads a table in chunks that are small in time, when the source has room for them. A chunk's lines are good until the chunk
 * after the next is read.
 */
export class TableReader {
  readonly #config: Config;
  readonly #codec: TableCodec;
  readonly #connection: Reader;
  readonly #throttle: Throttle;
  readonly #size: ChunkSize;
  readonly #buffers = [new LineBuffer(), new LineBuffer()] as const;
  #turn = 0;

  /** `mostRows`: a chunk has no more of them, however fast they are read. */
  constructor(
    config: Config,
    connection: Reader,
    throttle: Throttle,
    table: { readonly codec: TableCodec; readonly engine: string },
    mostRows?: number,
  ) {
    this.#config = config;
    this.#connection = connection;
    this.#throttle = throttle;
    this.#codec = table.codec;
    this.#size = new ChunkSize(table.engine, mostRows);
  }

  /**
   * The next rows in key order behind `after`. With a condition, those of them that meet it: the range is as long as without, so
   * that the source is held up no longer, whatever there is to find. Raises target-refused where a key cannot be kept apart.
   */
  async next(
    after: readonly string[] | null,
    condition: string | null,
    signal: AbortSignal,
    around: Around = plainly,
  ): Promise<TableChunk> {
    const { database } = this.#config.source;
    let asked = 0;
    const chunk = await this.#read(signal, around, async (read) => {
      asked = this.#size.rows(this.#throttle.pace === 'free');
      if (condition === null) return await read(chunkQuery(database, this.#codec, after, asked));
      const keys = keyCodec(this.#codec);
      const range = await readChunk(
        this.#connection.reader,
        chunkQuery(database, keys, after, asked),
        keys,
        new LineBuffer(),
        // There are no more of them than rows of a chunk, and no table is as quick to read as its keys.
        { bytes: Infinity, ms: Infinity },
      );
      takeConversions(keys);
      if (range.lastKey === null) return range;
      const found = await read(filterQuery(database, this.#codec, { after, upTo: range.lastKey }, condition));
      if (found.cut) return found;
      return { ...found, lastKey: range.lastKey, lastKeyText: range.lastKeyText, scanned: range.rows };
    });
    const scanned = chunk.scanned ?? chunk.rows;
    return { ...chunk, isLast: scanned < asked && !chunk.cut };
  }

  /** The rows with these keys, given as SQL literals. */
  async lookup(
    keys: readonly (readonly string[])[],
    signal: AbortSignal,
    around: Around = plainly,
  ): Promise<TableChunk> {
    const query = lookupQuery(this.#config.source.database, this.#codec, keys);
    return { ...(await this.#read(signal, around, async (read) => await read(query))), isLast: true };
  }

  async #read(
    signal: AbortSignal,
    around: Around,
    select: (read: (query: string) => Promise<Chunk>) => Promise<Chunk & { scanned?: number }>,
  ): Promise<Omit<TableChunk, 'isLast'> & { scanned?: number }> {
    const lines = this.#buffers[this.#turn++ % 2] as LineBuffer;
    lines.length = 0;
    const codec = this.#codec;
    const holder = this.#connection;
    if (!holder.reader.isOpen) holder.reader = await SourceConnection.open(this.#config.source, 'reader');
    const chunk = await this.#throttle.chunk(
      () => holder.reader,
      async () => {
        // What is waited for around the select costs the source nothing.
        let elapsedMs = 0;
        const chunk: Chunk & { scanned?: number } = await around(holder.reader, async () => {
          const started = performance.now();
          const chunk = await select(
            async (query) => await readChunk(holder.reader, query, codec, lines, this.#size.limits),
          );
          elapsedMs = performance.now() - started;
          this.#size.observe(chunk.scanned ?? chunk.rows, elapsedMs, lines.length + chunk.rejectedBytes);
          return chunk;
        });
        return { ...chunk, elapsedMs };
      },
      signal,
    );
    const keyColumn = convertedKeyColumn(codec);
    const { table } = codec.schema;
    if (keyColumn !== null)
      throw new TidegateError(
        'target-refused',
        `table ${table}: a value of key column ${keyColumn} cannot be held by PostgreSQL as it is, so that two rows could become one`,
        { table },
      );
    return { ...chunk, lines, conversions: takeConversions(codec) };
  }
}
