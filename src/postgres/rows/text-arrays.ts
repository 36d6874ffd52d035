const tab = 0x09;
const newline = 0x0a;
const backslash = 0x5c;
const letterN = 0x4e;
/** PostgreSQL's number for the type text. */
const textOid = 25;
const headerBytes = 20;
const isNull = -1;

/** The characters that COPY text writes as a letter behind a backslash. Every other character stands for itself. */
const escapes = new Map([
  [0x74, tab],
  [0x6e, newline],
  [0x72, 0x0d],
]);

/**
 * Fields of COPY text as one `text[]` per column, in PostgreSQL's binary format (array_recv in
 * https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/utils/adt/arrayfuncs.c). A statement takes its rows this way: the
 * bytes are copied once, and no JavaScript value is made of them.
 */
export class TextArrays {
  readonly #columns: TextArray[];
  #rows = 0;

  constructor(columnCount: number) {
    this.#columns = Array.from({ length: columnCount }, () => new TextArray());
  }

  /** Adds the line or key that starts at `at` and ends before `end`, without its newline. It has one field for each column. */
  add(bytes: Buffer, at: number, end: number): void {
    let start = at;
    for (const column of this.#columns) start = column.add(bytes, start, end);
    this.#rows++;
  }

  get rows(): number {
    return this.#rows;
  }

  /** The finished arrays, in the order of the columns. */
  values(): Buffer[] {
    return this.#columns.map((column) => column.finish(this.#rows));
  }
}

class TextArray {
  #bytes = Buffer.allocUnsafe(256);
  #length = headerBytes;
  #hasNull = false;

  /** Adds the field that starts at `start`. Returns where the next one starts. */
  add(source: Buffer, start: number, end: number): number {
    const lengthAt = this.#length;
    let to = lengthAt + 4;
    let bytes = this.#withRoom(to);
    let at = start;
    for (; at < end; at++) {
      let byte = source[at] as number;
      if (byte === tab) break;
      if (byte === backslash) {
        byte = source[++at] as number;
        if (byte === letterN) {
          this.#hasNull = true;
          bytes.writeInt32BE(isNull, lengthAt);
          this.#length = lengthAt + 4;
          return at + 2;
        }
        byte = escapes.get(byte) ?? byte;
      }
      if (to === bytes.length) bytes = this.#withRoom(to + 1);
      bytes[to++] = byte;
    }
    bytes.writeInt32BE(to - lengthAt - 4, lengthAt);
    this.#length = to;
    return at + 1;
  }

  finish(rows: number): Buffer {
    const bytes = this.#bytes;
    bytes.writeInt32BE(1, 0); // one dimension
    bytes.writeInt32BE(this.#hasNull ? 1 : 0, 4);
    bytes.writeInt32BE(textOid, 8);
    bytes.writeInt32BE(rows, 12);
    bytes.writeInt32BE(1, 16); // its first index
    return bytes.subarray(0, this.#length);
  }

  #withRoom(needed: number): Buffer {
    if (needed <= this.#bytes.length) return this.#bytes;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(grown);
    this.#bytes = grown;
    return grown;
  }
}
