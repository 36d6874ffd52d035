import type { LineBuffer } from '../change/line-buffer.ts';
import type { ColumnSchema } from '../definition/table-schema.ts';
import { binlogType } from './binlog-types.ts';
import {
  type CodecFamily,
  type TextReader,
  fixedWidth,
  isZeroFilled,
  numberLiteral,
  numbersOf,
  plainText,
  withoutFill,
} from './codec.ts';
import { InvalidValue } from './invalid-value.ts';

/** Bytes that hold 0 to 9 decimal digits (MySQL's decimal.c, `dig2bytes`). */
const bytesOfDigits = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4] as const;

const powersOfTen = Array.from({ length: 10 }, (_, digits) => 10 ** digits);

/** decimal(p,s): digits from end to end, never a JavaScript number. */
export const decimals: CodecFamily = (column) => {
  if (column.type !== 'decimal') return undefined;
  const precision = column.precision ?? 10;
  const scale = column.scale ?? 0;
  const reader = decimalReader(precision, scale);
  return {
    pgType: `numeric(${precision},${scale})`,
    fromText: isZeroFilled(column) ? withoutFill : plainText,
    fromImage: (code, metadata) =>
      code === binlogType.newdecimal && (metadata & 0xff) === precision && metadata >> 8 === scale ? reader : null,
    keyLiteral: numberLiteral,
    literalsOf: numbersOf,
    sortsAlike: true,
  };
};

/**
 * float and double. Every finite float32 and float64 has a shortest decimal text that reads back as the same number. The server
 * prints doubles this way but rounds floats to six digits. `* 1e0` makes it print the exact value
 * (https://dev.mysql.com/doc/refman/8.4/en/problems-with-float.html) and, unlike `+ 0e0`, keeps a negative zero. The value of a
 * double(m,d) is the number with d decimals that the server prints; as a key, it is the number stored, which can lie beside it.
 */
export const floats: CodecFamily = (column) => {
  if (column.type !== 'float' && column.type !== 'double') return undefined;
  const single = column.type === 'float';
  const decimals = decimalsOf(column);
  const reader = single
    ? fixedWidth(4, (source, at, out) => writeNumber(source.readFloatLE(at), out))
    : fixedWidth(8, doubleWriter(decimals));
  return {
    pgType: single ? 'real' : 'double precision',
    ...(single || decimals !== null ? { select: (quoted: string) => `${quoted} * 1e0` } : {}),
    fromText: decimals === null ? floatText : roundedText(decimals),
    fromImage: (code) => (code === (single ? binlogType.float : binlogType.double) ? reader : null),
    keyLiteral: numberLiteral,
    // PostgreSQL prints the shortest text of a float. The source compares the float as the double that it equals.
    literalsOf: single
      ? (printed) => numbersOf(String(Math.fround(Number(printed))))
      : decimals === null
        ? numbersOf
        : (printed) => storedNumbers(printed, decimals),
    sortsAlike: true,
  };
};

function doubleWriter(decimals: number | null): (source: Buffer, at: number, out: LineBuffer) => void {
  if (decimals === null) return (source, at, out) => writeNumber(source.readDoubleLE(at), out);
  return (source, at, out) => {
    writeNumber(rounded(source.readDoubleLE(at), decimals), out);
  };
}

/** The d of a double(m,d); null: the column has none. */
function decimalsOf({ type, fullType }: ColumnSchema): number | null {
  const decimals = type === 'double' ? /^double(?: precision)?\(\d+,(\d+)\)/i.exec(fullType)?.[1] : undefined;
  return decimals === undefined ? null : Number(decimals);
}

const notFinite = 'a floating-point number is not finite';

/** The server prints longer texts, texts with an exponent and very small numbers in another way than JavaScript. */
const plainDigits = 15;

/** Writes the same text as from a row image, because keys are compared as text. */
const floatText: TextReader = (source, start, end, out) => {
  const first = source[start] === 0x2d ? start + 1 : start;
  let isPlain =
    end - first <= plainDigits && !(source[first] === 0x30 && source[first + 2] === 0x30 && end - first > 3);
  for (let at = first; at < end && isPlain; at++) if (source[at] === 0x65) isPlain = false;
  if (isPlain && (source[first] as number) <= 0x39) plainText(source, start, end, out);
  else numberText(source, start, end, out);
};

/** Refuses numbers that are not finite. The server prints them as words in a damaged column, and PostgreSQL would accept NaN. */
const numberText: TextReader = (source, start, end, out) =>
  writeNumber(Number(source.toString('latin1', start, end)), out);

/** Writes the same text as from a row image, and refuses what is not finite, like `numberText`. */
function roundedText(decimals: number): TextReader {
  return (source, start, end, out) => {
    writeNumber(rounded(Number(source.toString('latin1', start, end)), decimals), out);
  };
}

function rounded(value: number, decimals: number): number {
  return value === 0 || !Number.isFinite(value) ? value : Number(value.toFixed(decimals));
}

/**
 * The numbers that a double(m,d) prints as `printed`: itself, and what the servers store for it (`Field_real::truncate` rounds the
 * fraction above the next lower integer: -0.21 becomes -1 + 0.79, which is -0.20999999999999996).
 */
function storedNumbers(printed: string, decimals: number): readonly string[] {
  const value = Number(printed);
  const below = Math.floor(value);
  const scale = 10 ** decimals;
  const stored = below + roundedEven((value - below) * scale) / scale;
  return [...new Set([printed, String(stored)])].flatMap(numbersOf);
}

/** Rounds a number that is not negative as C's `rint` does: halves to the even integer. */
function roundedEven(value: number): number {
  const below = Math.floor(value);
  const fraction = value - below;
  return fraction < 0.5 || (fraction === 0.5 && below % 2 === 0) ? below : below + 1;
}

function writeNumber(value: number, out: LineBuffer): void {
  if (!Number.isFinite(value)) throw new InvalidValue(notFinite);
  // String(-0) is '0', but PostgreSQL and the source keep the sign.
  if (value === 0 && 1 / value < 0) out.ascii('-0');
  else if (Number.isInteger(value) && Math.abs(value) < 2 ** 53) out.integer(value);
  else out.ascii(String(value));
}

/**
 * MySQL's packed decimal: groups of nine digits in four bytes, big endian, with a shorter group at either end. The first bit is
 * inverted. All bits are inverted when the number is negative (MySQL strings/decimal.c, `decimal2bin`).
 */
export function decimalReader(precision: number, scale: number) {
  const integerDigits = precision - scale;
  const groups: { readonly width: number; readonly digits: number }[] = [];
  const group = (digits: number) => {
    if (digits > 0) groups.push({ width: bytesOfDigits[digits] as number, digits });
  };
  group(integerDigits % 9);
  for (let i = 0; i < Math.floor(integerDigits / 9); i++) group(9);
  const integerGroups = groups.length;
  for (let i = 0; i < Math.floor(scale / 9); i++) group(9);
  group(scale % 9);
  const width = groups.reduce((sum, { width }) => sum + width, 0);

  return fixedWidth(width, (source, start, out) => {
    const negative = ((source[start] as number) & 0x80) === 0;
    const invert = negative ? 0xff : 0;
    if (negative) out.byte(0x2d);
    let at = start;
    let started = false;
    for (let i = 0; i < groups.length; i++) {
      const { width, digits } = groups[i] as { width: number; digits: number };
      let value = 0;
      for (let k = 0; k < width; k++, at++) {
        const flipped = ((source[at] as number) ^ invert) & 0xff;
        value = value * 256 + (at === start ? flipped ^ 0x80 : flipped);
      }
      if (value >= (powersOfTen[digits] as number)) throw new InvalidValue('a decimal has a group of too many digits');
      if (i === integerGroups) {
        if (!started) out.byte(0x30);
        started = true;
        out.byte(0x2e);
      }
      if (i >= integerGroups || started) out.digits(value, digits);
      else if (value > 0) {
        out.integer(value);
        started = true;
      }
    }
    if (!started) out.byte(0x30);
  });
}
