import type { Conversion } from '../change/conversion.ts';
import type { ColumnSchema } from '../definition/table-schema.ts';
import type { LineBuffer } from '../change/line-buffer.ts';
import { InvalidValue } from './invalid-value.ts';

/**
 * The mapping of one column: its PostgreSQL type, and two readers that write the same COPY text. One reads the server's text
 * protocol (snapshot), the other a binlog row image (stream).
 */
export interface Codec {
  readonly pgType: string;
  /** The expression a snapshot selects; `column` is the quoted name. Absent: the column itself. */
  readonly select?: (column: string) => string;
  /** Writes one value as the server printed it. The server already converted its character set to utf8mb4. */
  readonly fromText: TextReader;
  /**
   * Compiles the reader for a TABLE_MAP type and its metadata; null: such an image cannot belong to this column. The schema and
   * the binlog then disagree, and the table must be suspended rather than guessed.
   */
  readonly fromImage: (type: number, metadata: number) => ImageReader | null;
  /** Writes a value as a literal that the source compares like the column itself; undefined: the column cannot bound a chunk. */
  readonly keyLiteral?: (source: Buffer, start: number, end: number) => string;
  /**
   * Makes the same literal from what PostgreSQL prints: all literals that it can be, none if the source has no such value. Undefined:
   * rows cannot be selected by this column.
   */
  readonly literalsOf?: (printed: string) => readonly string[];
  /** PostgreSQL sorts the values as the source does, so a range of keys is the same range on both sides. */
  readonly sortsAlike?: true;
}

export type TextReader = (source: Buffer, start: number, end: number, out: LineBuffer) => void;

export interface ImageReader {
  /** Writes the value at `at` and returns the offset of the next value. */
  readonly read: (source: Buffer, at: number, out: LineBuffer) => number;
  /** Returns the offset behind the value at `at`, without reading it. */
  readonly skip: (source: Buffer, at: number) => number;
}

/** Counts the values of a column that were changed so that PostgreSQL can hold them. No conversion is silent. */
export class Conversions {
  /** Zero, part-zero or impossible dates that became NULL. */
  dateToNull = 0;
  /** U+0000 characters that became U+FFFD. */
  nulReplaced = 0;
  /** Dates that became NULL because a rule says that they mean 'none'. */
  sentinelToNull = 0;
  /**
   * Bytes that are not a character of their set. They are not reported: every client of the source reads the same question mark,
   * and the snapshot cannot see them. But two keys may become equal through them.
   */
  unknown = 0;

  get total(): number {
    return this.dateToNull + this.nulReplaced + this.sentinelToNull + this.unknown;
  }

  /** The conversions counted since `before`. */
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

/** A family of types. Returns the codec of a column, undefined for a column of another family, or the reason of a refusal. */
export type CodecFamily = (column: ColumnSchema, conversions: Conversions) => Codec | Refusal | undefined;

export interface Refusal {
  readonly refused: string;
}

/** A reader for values of a fixed width in bytes. Raises RangeError for a value that exceeds its source. */
export function fixedWidth(width: number, read: (source: Buffer, at: number, out: LineBuffer) => void): ImageReader {
  return {
    read: (source, at, out) => {
      const end = within(source, at + width);
      read(source, at, out);
      return end;
    },
    skip: (source, at) => within(source, at + width),
  };
}

/** Returns the end of a value. Raises RangeError if the source ends before it, or if it is no number at all. */
function within(source: Buffer, end: number): number {
  if (end <= source.length) return end;
  throw new RangeError('a value is longer than its row image');
}

/**
 * A reader for values that start with their own length, in 1 to 4 bytes little endian. Raises RangeError for a value that exceeds its
 * source.
 */
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
      const end = within(source, start + lengthAt(source, at));
      read(source, start, end, out);
      return end;
    },
    skip: (source, at) => within(source, at + prefix + lengthAt(source, at)),
  };
}

/** Copies ASCII text that needs no escaping in COPY: numbers, times. Raises InvalidValue for text that would end a column or a row. */
export const plainText: TextReader = (source, start, end, out) => {
  for (let at = start; at < end; at++) {
    const byte = source[at] as number;
    if (byte < 0x20 || byte === 0x5c) throw new InvalidValue('a number or a time has characters of neither');
  }
  out.plain(source, start, end);
};

/** Whether the server pads the column's numbers with zeros when it prints them. */
export function isZeroFilled({ fullType }: ColumnSchema): boolean {
  return / zerofill\b/i.test(fullType);
}

/** Copies a number without its padding zeros. */
export const withoutFill: TextReader = (source, start, end, out) => {
  let at = start;
  while (at < end - 1 && source[at] === 0x30 && source[at + 1] !== 0x2e) at++;
  plainText(source, at, end, out);
};

/** Writes a number as an SQL literal: the server's own digits. */
export function numberLiteral(source: Buffer, start: number, end: number): string {
  return source.toString('latin1', start, end);
}

/** Makes an SQL literal from a number as PostgreSQL prints it; none: not a number. */
export function numbersOf(printed: string): readonly string[] {
  return /^-?\d+(\.\d+)?(e[-+]\d+)?$/.test(printed) ? [printed] : [];
}

/**
 * Makes an SQL literal from a date, time or address as PostgreSQL prints it; none: none of these. Times are in UTC on both sides.
 */
export function quotedOf(printed: string): readonly string[] {
  // Drops the zone of a time, and the prefix length of an address, which always covers the entire address.
  const plain = printed.replace(/\+00$|\/\d+$/, '');
  return /^[-0-9A-Fa-f:. ]+$/.test(plain) ? [`'${plain}'`] : [];
}

/** Writes a quoted literal of server-printed ASCII without quotes: dates and times. */
export function quotedLiteral(source: Buffer, start: number, end: number): string {
  return `'${source.toString('latin1', start, end)}'`;
}
