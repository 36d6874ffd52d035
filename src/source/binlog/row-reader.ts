import type { LineBuffer } from '../../change/line-buffer.ts';
import type { ColumnSchema } from '../../change/table-schema.ts';
import type { ImageReader } from '../../mapping/codec.ts';
import { InvalidValue } from '../../mapping/invalid-value.ts';
import { omitted } from '../../mapping/omitted.ts';
import { type TableCodec, isOmitted } from '../../mapping/table-codec.ts';
import type { TableMap } from './table-map.ts';

/**
 * Reads the row images of one table, compiled for its schema version and for the types its TABLE_MAP names. The schema gives
 * names, signs, character sets and members; the binlog gives the layout; where they disagree there is no reader.
 */
export class RowReader {
  readonly #columns: readonly ImageReader[];
  readonly #names: readonly string[];
  readonly #isKey: readonly boolean[];
  readonly #isOmitted: readonly boolean[];
  readonly #firstCarried: number;
  readonly #key: readonly number[];
  readonly #keyStarts: number[];
  readonly #keyEnds: number[];
  readonly #nullBytes: number;
  readonly #lastKeyColumn: number;

  private constructor(columns: readonly ImageReader[], schema: readonly ColumnSchema[], key: readonly number[]) {
    this.#columns = columns;
    this.#names = schema.map(({ name }) => name);
    this.#isOmitted = schema.map(isOmitted);
    this.#firstCarried = this.#isOmitted.indexOf(false);
    this.#key = key;
    this.#isKey = columns.map((_, index) => key.includes(index));
    this.#keyStarts = columns.map(() => 0);
    this.#keyEnds = columns.map(() => 0);
    this.#nullBytes = (columns.length + 7) >> 3;
    this.#lastKeyColumn = Math.max(...key);
  }

  /** The reader, or what the binlog and the schema disagree about, in words that name columns but no values. */
  static compile(codec: TableCodec, map: TableMap): RowReader | string {
    const { columns, primaryKey } = codec.source;
    if (columns.length !== map.types.length)
      return `the binlog has ${map.types.length} columns where the known schema has ${columns.length}`;
    const readers: ImageReader[] = [];
    let carried = 0;
    for (const [index, column] of columns.entries()) {
      const type = map.types[index] as number;
      const fromImage = isOmitted(column) ? omitted(column) : codec.codecs[carried++]?.fromImage;
      const reader = fromImage?.(type, map.metadata[index] as number) ?? null;
      if (reader === null) return `the binlog's type ${type} does not fit column ${column.name} (${column.type})`;
      readers.push(reader);
    }
    return new RowReader(readers, columns, primaryKey);
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
        const isNull = (((source[nulls + (i >> 3)] as number) >> (i & 7)) & 1) === 1;
        if (this.#isOmitted[i] === true) {
          if (!isNull) at = (columns[i] as ImageReader).skip(source, at);
          continue;
        }
        if (i > this.#firstCarried) out.tab();
        if (isNull) {
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

  /** A copy of an image, with NULL where a column is omitted: what is not carried is not kept either. */
  copy(source: Buffer, start: number, end: number): Buffer {
    if (!this.#isOmitted.includes(true)) return Buffer.from(source.subarray(start, end));
    let at = start + this.#nullBytes;
    const nulls = Buffer.from(source.subarray(start, at));
    const parts: Buffer[] = [nulls];
    for (const [i, column] of this.#columns.entries()) {
      const bit = 1 << (i & 7);
      if (((nulls[i >> 3] as number) & bit) !== 0) continue;
      const next = column.skip(source, at);
      if (this.#isOmitted[i] === true) nulls[i >> 3] = (nulls[i >> 3] as number) | bit;
      else parts.push(source.subarray(at, next));
      at = next;
    }
    return Buffer.concat(parts);
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
