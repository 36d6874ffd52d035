import type { Conversion } from '../change/conversion.ts';
import type { ColumnSchema } from '../definition/table-schema.ts';
import type { LineBuffer } from '../change/line-buffer.ts';

/**
 * How one column crosses: the PostgreSQL type it becomes, and two readers that write the same COPY text, one from the
 * server's text protocol (snapshot) and one from a binlog row image (stream).
 */
export interface Codec {
  readonly pgType: string;
  /** The expression a snapshot selects; `column` is the quoted name. Absent: the column itself. */
  readonly select?: (column: string) => string;
  /** Writes one value as the server printed it (character sets already converted to utf8mb4). */
  readonly fromText: TextReader;
  /**
   * Compiles the reader for a TABLE_MAP type and its metadata, or null when such an image cannot belong to this column: the
   * schema and the binlog disagree, and the table must be suspended rather than guessed.
   */
  readonly fromImage: (type: number, metadata: number) => ImageReader | null;
  /** Writes a value as a literal the source compares like the column itself; undefined: the column cannot bound a chunk. */
  readonly keyLiteral?: (source: Buffer, start: number, end: number) => string;
  /**
   * The same literal, made from what PostgreSQL prints; null: the source has no such value. Undefined: rows cannot be asked for by
   * it.
   */
  readonly literalOf?: (printed: string) => string | null;
  /** PostgreSQL sorts the values as the source does, so that a range of keys there is the same range here. */
  readonly sortsAlike?: true;
}

export type TextReader = (source: Buffer, start: number, end: number, out: LineBuffer) => void;

export interface ImageReader {
  /** Writes the value that begins at `at` and returns where the next one begins. */
  readonly read: (source: Buffer, at: number, out: LineBuffer) => number;
  /** Returns where the value that begins at `at` ends, without reading it. */
  readonly skip: (source: Buffer, at: number) => number;
}

/** What had to change so that PostgreSQL could hold it, counted per column and never silent. */
export class Conversions {
  /** Zero, part-zero or impossible dates that became NULL. */
  dateToNull = 0;
  /** U+0000 characters that became U+FFFD. */
  nulReplaced = 0;
  /** Dates that became NULL because a rule says that they stand for none. */
  sentinelToNull = 0;
  /**
   * Bytes that are no character of their set. Nobody is told of them, because every client of the source reads the same question mark, and
   * the snapshot does not know; but two keys may read alike for it.
   */
  unknown = 0;

  get total(): number {
    return this.dateToNull + this.nulReplaced + this.sentinelToNull + this.unknown;
  }

  /** What was counted since it was as in `before`. */
  since(before: Conversions, column: string): Conversion[] {
    const counted: Conversion[] = [
      { column, kind: 'date-to-null', count: this.dateToNull - before.dateToNull },
      { column, kind: 'nul-replaced', count: this.nulReplaced - before.nulReplaced },
      { column, kind: 'sentinel-to-null', count: this.sentinelToNull - before.sentinelToNull },
    ];
    return counted.filter(({ count }) => count > 0);
  }

  set(to: Conversions): void {
    this.dateToNull = to.dateToNull;
    this.nulReplaced = to.nulReplaced;
    this.sentinelToNull = to.sentinelToNull;
    this.unknown = to.unknown;
  }
}

/** A family of types: the codec of a column it knows, undefined for another family's, or the reason it must refuse. */
export type CodecFamily = (column: ColumnSchema, conversions: Conversions) => Codec | Refusal | undefined;

export interface Refusal {
  readonly refused: string;
}

/** A reader for values of a fixed width in bytes. */
export function fixedWidth(width: number, read: (source: Buffer, at: number, out: LineBuffer) => void): ImageReader {
  return {
    read: (source, at, out) => {
      read(source, at, out);
      return at + width;
    },
    skip: (_source, at) => at + width,
  };
}

/** A reader for values that begin with their own length, 1 to 4 bytes little endian. */
export function lengthPrefixed(
  prefix: number,
  read: (source: Buffer, start: number, end: number, out: LineBuffer) => void,
): ImageReader {
  const lengthAt =
    prefix === 1
      ? (source: Buffer, at: number) => source[at] as number
      : (source: Buffer, at: number) => source.readUIntLE(at, prefix);
  return {
    read: (source, at, out) => {
      const start = at + prefix;
      const end = start + lengthAt(source, at);
      read(source, start, end, out);
      return end;
    },
    skip: (source, at) => at + prefix + lengthAt(source, at),
  };
}

/** Text that is all ASCII and safe in COPY as it stands: numbers, times. */
export const plainText: TextReader = (source, start, end, out) => out.plain(source, start, end);

/** Whether the server fills the column's numbers up with zeros when it prints them. */
export function isZeroFilled({ fullType }: ColumnSchema): boolean {
  return / zerofill\b/i.test(fullType);
}

/** A number without the zeros it is filled up with. */
export const withoutFill: TextReader = (source, start, end, out) => {
  let at = start;
  while (at < end - 1 && source[at] === 0x30 && source[at + 1] !== 0x2e) at++;
  out.plain(source, at, end);
};

/** A number as SQL literal: the server's own digits. */
export function numberLiteral(source: Buffer, start: number, end: number): string {
  return source.toString('latin1', start, end);
}

/** A number as PostgreSQL prints it, as SQL literal; null for what is none. */
export function numberOf(printed: string): string | null {
  return /^-?\d+(\.\d+)?(e[-+]\d+)?$/.test(printed) ? printed : null;
}

/** A date, time or address as PostgreSQL prints it, as SQL literal, or null; times are in UTC on both sides. */
export function quotedOf(printed: string): string | null {
  // The zone of a time, or the width of an address's network, which is all of it.
  const plain = printed.replace(/\+00$|\/\d+$/, '');
  return /^[-0-9A-Fa-f:. ]+$/.test(plain) ? `'${plain}'` : null;
}

/** A quoted literal of server-printed ASCII without quotes: dates and times. */
export function quotedLiteral(source: Buffer, start: number, end: number): string {
  return `'${source.toString('latin1', start, end)}'`;
}
