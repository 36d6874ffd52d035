import type { Conversion } from '../../change/conversion.ts';
import { LineBuffer } from '../../change/line-buffer.ts';
import type { Config } from '../../config/config.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { Scope } from '../../lifetime/scope.ts';
import { type TableCodec, convertedKeyColumn, keyCodec, takeConversions } from '../../mapping/table-codec.ts';
import { chunkQuery, filterQuery, lookupQuery } from '../../mysql/chunk/chunk-query.ts';
import { type Chunk, readChunk } from '../../mysql/chunk/chunk-reader.ts';
import type { SourceConnection } from '../../mysql/connection.ts';
import { type ServerFlavor, openOn } from '../../mysql/server-flavor.ts';
import { ChunkSize } from './chunk-size.ts';
import type { Throttle } from './throttle.ts';

/** A connection for reading. It is replaced after a chunk was cut short. */
export interface ReaderSlot {
  reader: SourceConnection;
}

export interface TableChunk extends Chunk {
  readonly lines: LineBuffer;
  /** No rows follow it. */
  readonly isLast: boolean;
  readonly conversions: readonly Conversion[];
}

/** Wraps the selects of a chunk, for example in a read view. */
export type WithinView = (reader: SourceConnection, read: () => Promise<Chunk>) => Promise<Chunk>;

const plainly: WithinView = async (_reader, read) => await read();

/**
 * Reads a table in chunks that take little time, when the source has capacity for them. The lines of a chunk are valid until the chunk
 * after the next is read. The lines of a lookup are valid until the next lookup. Concurrent reads run one at a time, because they
 * share a connection and its read view.
 */
export class TableReader {
  readonly #scope: Scope;
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
   * `mostRows`: the most rows of a chunk, however fast they are read. `lineByLine`: conversions are reported per line, for a caller
   * that writes only some lines.
   */
  constructor(
    scope: Scope,
    config: Config,
    server: ServerFlavor,
    connection: ReaderSlot,
    throttle: Throttle,
    table: { readonly codec: TableCodec; readonly engine: string },
    { mostRows, lineByLine = false }: { readonly mostRows?: number; readonly lineByLine?: boolean } = {},
  ) {
    this.#scope = scope;
    this.#config = config;
    this.#server = server;
    this.#connection = connection;
    this.#throttle = throttle;
    this.#codec = table.codec;
    this.#size = new ChunkSize(table.engine, mostRows);
    this.#lineByLine = lineByLine;
  }

  /**
   * The next rows in key order after `after`. With a condition, only those rows of them that meet it. The range is as long as without
   * a condition, so the source is busy no longer, however few rows match. Raises target-refused if two keys cannot be distinguished.
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
    // The server prints all bytes that are no characters alike. So it cannot be asked for the rows after such a key.
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
    // There are no more keys than rows of a chunk, and keys alone are the fastest to read.
    const unlimited = { bytes: Infinity, ms: Infinity };
    const range = await readChunk(this.#connection.reader, query, keys, new LineBuffer(), unlimited);
    takeConversions(keys);
    if (range.lastKey === null) return range;
    const found = await read(filterQuery(database, this.#codec, { after, upTo: range.lastKey }, condition));
    if (found.cut) return found;
    return { ...found, lastKey: range.lastKey, lastKeyText: range.lastKeyText, scanned: range.rows };
  }

  /** The rows with these keys, which are SQL literals. If the chunk is `cut`, rows are missing. */
  async lookup(
    keys: readonly (readonly string[])[],
    signal: AbortSignal,
    withinView: WithinView = plainly,
  ): Promise<TableChunk> {
    const query = lookupQuery(this.#config.source.database, this.#codec, keys, null);
    const chunk = await this.#read(this.#codec, this.#found, signal, withinView, async (read) => await read(query));
    return { ...chunk, isLast: true };
  }

  /** The keys, as lines, of the given rows that exist and meet the condition at some moment. */
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

  /** Reads into `lines` by `select`, after all earlier requests have been read. */
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
    if (!holder.reader.isOpen) holder.reader = await openOn(this.#scope, this.#config.source, 'reader', this.#server);
    // The caller that closes the connection may have finished already.
    if (signal.aborted) await holder.reader.close();
    signal.throwIfAborted();
    const read = async (query: string) =>
      await readChunk(holder.reader, query, codec, lines, this.#size.limits, this.#lineByLine);
    const chunk = await this.#throttle.chunk(
      () => holder.reader,
      async () => {
        // Waiting around the select costs the source nothing, so only the select is timed.
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
