import type { Conversion } from '../../change/conversion.ts';
import { LineBuffer } from '../../change/line-buffer.ts';
import type { Config } from '../../config/config.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { type TableCodec, convertedKeyColumn, keyCodec, takeConversions } from '../../mapping/table-codec.ts';
import { chunkQuery, filterQuery, lookupQuery } from '../../mysql/chunk/chunk-query.ts';
import { type Chunk, readChunk } from '../../mysql/chunk/chunk-reader.ts';
import type { SourceConnection } from '../../mysql/connection.ts';
import { type ServerFlavor, openOn } from '../../mysql/server-flavor.ts';
import { ChunkSize } from './chunk-size.ts';
import type { Throttle } from './throttle.ts';

/** A connection to read by, which is replaced when a chunk has to be cut short. */
export interface ReaderSlot {
  reader: SourceConnection;
}

export interface TableChunk extends Chunk {
  readonly lines: LineBuffer;
  /** Nothing is behind it. */
  readonly isLast: boolean;
  readonly conversions: readonly Conversion[];
}

/** What the selects of a chunk are surrounded by, such as a read view. */
export type WithinView = (reader: SourceConnection, read: () => Promise<Chunk>) => Promise<Chunk>;

const plainly: WithinView = async (_reader, read) => await read();

/**
 * Reads a table in chunks that are small in time, when the source has room for them. A chunk's lines are good until the chunk
 * after the next is read; those of rows that were looked up until the next are. Of reads that are asked for at the same time,
 * each begins when the one before has ended, for they share a connection, and whatever surrounds them on it.
 */
export class TableReader {
  readonly #config: Config;
  readonly #server: ServerFlavor;
  readonly #codec: TableCodec;
  readonly #connection: ReaderSlot;
  readonly #throttle: Throttle;
  readonly #size: ChunkSize;
  readonly #lineByLine: boolean;
  readonly #buffers = [new LineBuffer(), new LineBuffer()] as const;
  readonly #found = new LineBuffer(4096);
  #turn = 0;
  #last: Promise<unknown> = Promise.resolve();

  /**
   * `mostRows`: a chunk has no more of them, however fast they are read. `lineByLine`: conversions are told of each line, for whoever
   * writes only some of them.
   */
  constructor(
    config: Config,
    server: ServerFlavor,
    connection: ReaderSlot,
    throttle: Throttle,
    table: { readonly codec: TableCodec; readonly engine: string },
    { mostRows, lineByLine = false }: { readonly mostRows?: number; readonly lineByLine?: boolean } = {},
  ) {
    this.#config = config;
    this.#server = server;
    this.#connection = connection;
    this.#throttle = throttle;
    this.#codec = table.codec;
    this.#size = new ChunkSize(table.engine, mostRows);
    this.#lineByLine = lineByLine;
  }

  /**
   * The next rows in key order behind `after`. With a condition, those of them that meet it: the range is as long as without, so
   * that the source is held up no longer, whatever there is to find. Raises target-refused where a key cannot be kept apart.
   */
  async next(
    after: readonly string[] | null,
    condition: string | null,
    signal: AbortSignal,
    withinView: WithinView = plainly,
  ): Promise<TableChunk> {
    const { database } = this.#config.source;
    const codec = this.#codec;
    let asked = 0;
    const lines = this.#buffers[this.#turn++ % 2] as LineBuffer;
    const chunk = await this.#read(codec, lines, signal, withinView, async (read) => {
      asked = this.#size.rows(this.#throttle.pace === 'free');
      const started = performance.now();
      const chunk =
        condition === null
          ? await read(chunkQuery(database, codec, after, asked))
          : await this.#filtered(after, asked, condition, read);
      this.#size.observe(chunk.scanned ?? chunk.rows, performance.now() - started, lines.length + chunk.rejectedBytes);
      return chunk;
    });
    // By bytes that are no characters, which it prints alike, the server cannot be asked for what is behind them.
    if (after !== null && chunk.lastKey?.every((literal, column) => literal === after[column]) === true)
      throw new TidegateError(
        'target-refused',
        `table ${codec.schema.table}: its key holds bytes that are no characters of its character set, so that rows cannot be read in its order`,
        { table: codec.schema.table },
      );
    const scanned = chunk.scanned ?? chunk.rows;
    return { ...chunk, isLast: scanned < asked && !chunk.cut };
  }

  async #filtered(
    after: readonly string[] | null,
    asked: number,
    condition: string,
    read: (query: string) => Promise<Chunk>,
  ): Promise<Chunk> {
    const { database } = this.#config.source;
    const keys = keyCodec(this.#codec);
    const query = chunkQuery(database, keys, after, asked);
    // There are no more of them than rows of a chunk, and no table is as quick to read as its keys.
    const unlimited = { bytes: Infinity, ms: Infinity };
    const range = await readChunk(this.#connection.reader, query, keys, new LineBuffer(), unlimited);
    takeConversions(keys);
    if (range.lastKey === null) return range;
    const found = await read(filterQuery(database, this.#codec, { after, upTo: range.lastKey }, condition));
    if (found.cut) return found;
    return { ...found, lastKey: range.lastKey, lastKeyText: range.lastKeyText, scanned: range.rows };
  }

  /** The rows with these keys, given as SQL literals; not all of them, if it is `cut`. */
  async lookup(
    keys: readonly (readonly string[])[],
    signal: AbortSignal,
    withinView: WithinView = plainly,
  ): Promise<TableChunk> {
    const query = lookupQuery(this.#config.source.database, this.#codec, keys, null);
    const chunk = await this.#read(this.#codec, this.#found, signal, withinView, async (read) => await read(query));
    return { ...chunk, isLast: true };
  }

  /** The keys alone of those of these rows that are there, and meet the condition, at some moment, as lines. */
  async present(
    keys: readonly (readonly string[])[],
    condition: string | null,
    signal: AbortSignal,
  ): Promise<TableChunk> {
    const codec = keyCodec(this.#codec);
    const query = lookupQuery(this.#config.source.database, codec, keys, condition);
    const chunk = await this.#read(codec, this.#found, signal, plainly, async (read) => await read(query));
    return { ...chunk, isLast: true };
  }

  /** Reads into `lines` by `select`, when everything that was asked for before has been read. */
  async #read(
    codec: TableCodec,
    lines: LineBuffer,
    signal: AbortSignal,
    withinView: WithinView,
    select: (read: (query: string) => Promise<Chunk>) => Promise<Chunk>,
  ): Promise<Omit<TableChunk, 'isLast'>> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    try {
      await before;
      lines.length = 0;
      return await this.#readAlone(codec, lines, signal, withinView, select);
    } finally {
      resolve();
    }
  }

  async #readAlone(
    codec: TableCodec,
    lines: LineBuffer,
    signal: AbortSignal,
    withinView: WithinView,
    select: (read: (query: string) => Promise<Chunk>) => Promise<Chunk>,
  ): Promise<Omit<TableChunk, 'isLast'>> {
    const holder = this.#connection;
    if (!holder.reader.isOpen) holder.reader = await openOn(this.#config.source, 'reader', this.#server);
    // Whoever would have closed it may be gone.
    if (signal.aborted) await holder.reader.close();
    signal.throwIfAborted();
    const read = async (query: string) =>
      await readChunk(holder.reader, query, codec, lines, this.#size.limits, this.#lineByLine);
    const chunk = await this.#throttle.chunk(
      () => holder.reader,
      async () => {
        // What is waited for around the select costs the source nothing.
        let elapsedMs = 0;
        const chunk = await withinView(holder.reader, async () => {
          const started = performance.now();
          const chunk = await select(read);
          elapsedMs = performance.now() - started;
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
