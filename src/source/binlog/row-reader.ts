import type { LineBuffer } from '../../change/line-buffer.ts';
import type { ImageReader } from '../../mapping/codec.ts';
import { InvalidValue } from '../../mapping/invalid-value.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import type { TableMap } from './table-map.ts';

/**
 * Reads the row images of one table, compiled for its schema version and for the types its TABLE_MAP names. The schema gives
 * names, signs, character sets and members; the binlog gives the layout; where they disagree there is no reader.
 */
export class RowReader {
  readonly #columns: readonly ImageReader[];
  readonly #names: readonly string[];
  readonly #isKey: readonly boolean[];
  readonly #key: readonly number[];
  readonly #keyStarts: number[];
  readonly #keyEnds: number[];
  readonly #nullBytes: number;
  readonly #lastKeyColumn: number;

  private constructor(columns: readonly ImageReader[], names: readonly string[], key: readonly number[]) {
    this.#columns = columns;
    this.#names = names;
    this.#key = key;
    this.#isKey = columns.map((_, index) => key.includes(index));
    this.#keyStarts = columns.map(() => 0);
    this.#keyEnds = columns.map(() => 0);
    this.#nullBytes = (columns.length + 7) >> 3;
    this.#lastKeyColumn = Math.max(...key);
  }

  /** The reader, or what the binlog and the schema disagree about, in words that name columns but no values. */
  static compile(codec: TableCodec, map: TableMap): RowReader | string {
    const { columns, primaryKey } = codec.schema;
    if (columns.length !== map.types.length)
      return `the binlog has ${map.types.length} columns where the known schema has ${columns.length}`;
    const readers: ImageReader[] = [];
    for (const [index, column] of columns.entries()) {
      const type = map.types[index] as number;
      const reader = codec.codecs[index]?.fromImage(type, map.metadata[index] as number) ?? null;
      if (reader === null) return `the binlog's type ${type} does not fit column ${column.name} (${column.type})`;
      readers.push(reader);
    }
    const names = columns.map(({ name }) => name);
    return new RowReader(readers, names, primaryKey);
  }

  get columnCount(): number {
    return this.#columns.length;
  }

  /**
   * Appends the full image at `at` to `out` as one COPY line and returns where it ends; then `keyOf(out)` is its key. Raises
   * InvalidValue with the column.
   */
  read(source: Buffer, at: number, out: LineBuffer): number {
    const columns = this.#columns;
    const nulls = at;
    at += this.#nullBytes;
    let i = 0;
    try {
      for (; i < columns.length; i++) {
        if (i > 0) out.tab();
        if (((source[nulls + (i >> 3)] as number) >> (i & 7)) & 1) {
          out.null();
          continue;
        }
        if (this.#isKey[i] === true) {
          this.#keyStarts[i] = out.length;
          at = (columns[i] as ImageReader).read(source, at, out);
          this.#keyEnds[i] = out.length;
        } else {
          at = (columns[i] as ImageReader).read(source, at, out);
        }
      }
    } catch (error) {
      if (error instanceof InvalidValue) error.column = this.#names[i] ?? null;
      throw error;
    }
    out.newline();
    return at;
  }

  /** As `read`, but only the key's columns are written, to `scratch`, for `keyOf(scratch)`. */
  readKey(source: Buffer, at: number, scratch: LineBuffer): number {
    const columns = this.#columns;
    const nulls = at;
    at += this.#nullBytes;
    scratch.length = 0;
    for (let i = 0; i < columns.length; i++) {
      if (((source[nulls + (i >> 3)] as number) >> (i & 7)) & 1) continue;
      const column = columns[i] as ImageReader;
      if (i > this.#lastKeyColumn || this.#isKey[i] !== true) {
        at = column.skip(source, at);
        continue;
      }
      this.#keyStarts[i] = scratch.length;
      at = column.read(source, at, scratch);
      this.#keyEnds[i] = scratch.length;
    }
    return at;
  }

  /** The key of the row read last: the COPY text of its columns in key order, joined by tabs. */
  keyOf(out: LineBuffer): string {
    const first = this.#key[0] as number;
    let key = out.bytes.toString('latin1', this.#keyStarts[first], this.#keyEnds[first]);
    for (let k = 1; k < this.#key.length; k++) {
      const column = this.#key[k] as number;
      key += `\t${out.bytes.toString('latin1', this.#keyStarts[column], this.#keyEnds[column])}`;
    }
    return key;
  }
}
