import type { LineBuffer } from '../../change/line-buffer.ts';
import type { ColumnSchema } from '../../definition/table-schema.ts';
import type { ImageReader } from '../../mapping/codec.ts';
import { InvalidValue } from '../../mapping/invalid-value.ts';
import { omitted } from '../../mapping/omitted.ts';
import { type TableCodec, isOmitted } from '../../mapping/table-codec.ts';
import type { TableMap } from './table-map.ts';

/** Sets of present columns whose readers are kept. A server writes a table in one or two of them. */
const mostForms = 100;

/**
 * Reads the row images of one table. It is compiled for the schema version of the table and for the types that its TABLE_MAP names. The
 * schema gives names, signs, character sets and members. The binlog gives the layout. If they disagree, there is no reader.
 */
export class RowReader {
  readonly #table: TableColumns;
  /** Indexes in the table of the columns that the images hold. */
  readonly #present: readonly number[];
  /** Readers for images that hold fewer columns, by the bitmap of those; null: the images lack a replicated column. */
  readonly #partial = new Map<string, RowReader | null>();
  readonly #columns: readonly ImageReader[];
  readonly #isKey: readonly boolean[];
  readonly #isOmitted: readonly boolean[];
  readonly #firstReplicated: number;
  readonly #key: readonly number[];
  readonly #keyStarts: number[];
  readonly #keyEnds: number[];
  readonly #nullBytes: number;
  readonly #lastKeyColumn: number;

  private constructor(table: TableColumns, present: readonly number[]) {
    this.#table = table;
    this.#present = present;
    this.#columns = present.map((index) => table.readers[index] as ImageReader);
    this.#isOmitted = present.map((index) => isOmitted(table.schema[index] as ColumnSchema));
    this.#firstReplicated = this.#isOmitted.indexOf(false);
    this.#key = table.key.map((index) => present.indexOf(index));
    this.#isKey = present.map((index) => table.key.includes(index));
    this.#keyStarts = present.map(() => 0);
    this.#keyEnds = present.map(() => 0);
    this.#nullBytes = (present.length + 7) >> 3;
    this.#lastKeyColumn = Math.max(...this.#key);
  }

  /** Returns the reader, or a text on how the binlog and the schema disagree. The text names columns but no values. */
  static compile(codec: TableCodec, map: TableMap): RowReader | string {
    const { columns, primaryKey } = codec.source;
    if (columns.length !== map.types.length)
      return `the binlog has ${map.types.length} columns where the known schema has ${columns.length}`;
    const readers: ImageReader[] = [];
    let replicated = 0;
    for (const [index, column] of columns.entries()) {
      const type = map.types[index] as number;
      const fromImage = isOmitted(column) ? omitted(column) : codec.codecs[replicated++]?.fromImage;
      const reader = fromImage?.(type, map.metadata[index] as number) ?? null;
      if (reader === null) return `the binlog's type ${type} does not fit column ${column.name} (${column.type})`;
      readers.push(reader);
    }
    return new RowReader({ readers, schema: columns, key: primaryKey }, [...columns.keys()]);
  }

  /** The number of columns of the table, as every event counts them. */
  get columnCount(): number {
    return this.#table.schema.length;
  }

  /**
   * The reader for images that hold the columns of the bitmap at `at`; null: they lack a replicated column. An omitted column may be
   * absent: MariaDB since 11.8 leaves generated columns out when a row is changed or deleted.
   */
  holding(source: Buffer, at: number): RowReader | null {
    const { schema } = this.#table;
    const isPresent = (index: number) => (((source[at + (index >> 3)] as number) >> (index & 7)) & 1) === 1;
    let first = 0;
    while (first < schema.length && isPresent(first)) first++;
    if (first === schema.length) return this;
    const bitmap = source.toString('latin1', at, at + ((schema.length + 7) >> 3));
    let reader = this.#partial.get(bitmap);
    if (reader === undefined) {
      const indexes = [...schema.keys()];
      const lacks = indexes.some((index) => !isPresent(index) && !isOmitted(schema[index] as ColumnSchema));
      reader = lacks ? null : new RowReader(this.#table, indexes.filter(isPresent));
      if (this.#partial.size >= mostForms) this.#partial.clear();
      this.#partial.set(bitmap, reader);
    }
    return reader;
  }

  /**
   * Appends the image at `at` to `out` as one COPY line and returns where the image ends. After that, `keyOf(out)` is its key. Raises
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
        if (i > this.#firstReplicated) out.tab();
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
      if (error instanceof InvalidValue) error.column = this.#table.schema[this.#present[i] as number]?.name ?? null;
      throw error;
    }
    out.newline();
    return at;
  }

  /** Like `read`, but writes only the key columns, to `scratch`, for `keyOf(scratch)`. */
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

  /** The bytes of the image at `at`, without omitted columns. */
  replicatedBytes(source: Buffer, at: number): number {
    const nulls = at;
    at += this.#nullBytes;
    let bytes = 0;
    for (const [i, column] of this.#columns.entries()) {
      if (((source[nulls + (i >> 3)] as number) >> (i & 7)) & 1) continue;
      const next = column.skip(source, at);
      if (this.#isOmitted[i] !== true) bytes += next - at;
      at = next;
    }
    return bytes;
  }

  /** Copies an image as one of all columns, with NULL for each omitted column: a column that is not replicated is not stored either. */
  copy(source: Buffer, start: number, end: number): Buffer {
    if (this.#present.length === this.columnCount && !this.#isOmitted.includes(true))
      return Buffer.from(source.subarray(start, end));
    const nulls = Buffer.alloc((this.columnCount + 7) >> 3, 0xff);
    const parts: Buffer[] = [nulls];
    let at = start + this.#nullBytes;
    for (const [i, column] of this.#columns.entries()) {
      if ((((source[start + (i >> 3)] as number) >> (i & 7)) & 1) === 1) continue;
      const next = column.skip(source, at);
      if (this.#isOmitted[i] !== true) {
        const index = this.#present[i] as number;
        nulls[index >> 3] = (nulls[index >> 3] as number) & ~(1 << (index & 7));
        parts.push(source.subarray(at, next));
      }
      at = next;
    }
    return Buffer.concat(parts);
  }

  /** The key of the row that was read last: the COPY text of its columns in key order, joined by tabs. */
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

/** What the images of a table may hold: its columns in order, and the indexes of the key columns. */
interface TableColumns {
  readonly readers: readonly ImageReader[];
  readonly schema: readonly ColumnSchema[];
  readonly key: readonly number[];
}
