import { bytesAt } from '../change/bytes-at.ts';
import type { LineBuffer } from '../change/line-buffer.ts';
import { binlogType } from './binlog-types.ts';
import type { Conversions } from './codec.ts';
import { withoutNul } from './json-text.ts';
import { decimalReader } from './numbers.ts';

/** Value types of MySQL's binary JSON (sql-common/json_binary.h). */
const jsonType = {
  smallObject: 0x00,
  largeObject: 0x01,
  smallArray: 0x02,
  largeArray: 0x03,
  literal: 0x04,
  int16: 0x05,
  uint16: 0x06,
  int32: 0x07,
  uint32: 0x08,
  int64: 0x09,
  uint64: 0x0a,
  double: 0x0b,
  string: 0x0c,
  opaque: 0x0f,
} as const;

/** The server refuses deeper documents (JSON_DOCUMENT_MAX_DEPTH). */
const mostDepth = 100;
/** Bytes of a string that are escaped at once. */
const pieceBytes = 64 * 1024;
/** These become one line of 76 characters of base64. */
const base64LineBytes = 57;

/**
 * Writes the JSON text of a stored MySQL json value as the server prints it, except for white space. Numbers stay exact: 64-bit integers
 * and decimals never pass through a double. An empty value means JSON null: the server stores it in a column that was added without a
 * default. Raises RangeError or InvalidValue for a damaged document.
 */
export function writeBinaryJson(source: Buffer, out: LineBuffer, conversions: Conversions): void {
  if (source.length === 0) out.ascii('null');
  else new JsonDocument(source, out, conversions).value(source[0] as number, 1, 0);
}

/**
 * Invariant: no byte of the document is written twice. A container names its values by offsets. A hostile one can name the same bytes
 * again and again, and itself, so that a few hundred bytes would have a text without end.
 */
class JsonDocument {
  readonly #source: Buffer;
  readonly #out: LineBuffer;
  readonly #conversions: Conversions;
  /** Bytes that no value has taken yet. */
  #left: number;

  constructor(source: Buffer, out: LineBuffer, conversions: Conversions) {
    this.#source = source;
    this.#out = out;
    this.#conversions = conversions;
    this.#left = source.length - 1;
  }

  #take(bytes: number): void {
    this.#left -= bytes;
    if (!(this.#left >= 0)) throw new RangeError('binary json refers to bytes twice');
  }

  value(type: number, at: number, depth: number): void {
    const source = this.#source;
    const out = this.#out;
    switch (type) {
      case jsonType.smallObject:
        return this.#container(at, 2, true, depth);
      case jsonType.largeObject:
        return this.#container(at, 4, true, depth);
      case jsonType.smallArray:
        return this.#container(at, 2, false, depth);
      case jsonType.largeArray:
        return this.#container(at, 4, false, depth);
      case jsonType.literal:
        return out.ascii(literalText(source[at]));
      case jsonType.int16:
        return out.integer(source.readInt16LE(at));
      case jsonType.uint16:
        return out.integer(source.readUInt16LE(at));
      case jsonType.int32:
        return out.integer(source.readInt32LE(at));
      case jsonType.uint32:
        return out.integer(source.readUInt32LE(at));
      case jsonType.int64:
        this.#take(8);
        return out.ascii(source.readBigInt64LE(at).toString());
      case jsonType.uint64:
        this.#take(8);
        return out.ascii(source.readBigUInt64LE(at).toString());
      case jsonType.double:
        this.#take(8);
        return out.ascii(doubleText(source.readDoubleLE(at)));
      case jsonType.string: {
        const { length, next } = variableLength(source, at);
        return this.#text(bytesAt(source, next, length));
      }
      case jsonType.opaque:
        return this.#opaque(at);
      default:
        throw new RangeError(`binary json holds the unknown value type ${type}`);
    }
  }

  /** `width` is 2 in the small form and 4 in the large one. Counts, offsets and inline values have this width. */
  #container(start: number, width: 2 | 4, isObject: boolean, depth: number): void {
    if (depth >= mostDepth) throw new RangeError('binary json is nested deeper than the server allows');
    const source = this.#source;
    const out = this.#out;
    const number = (at: number) => source.readUIntLE(at, width);
    const count = number(start);
    const keyEntries = start + 2 * width;
    const keyEntryWidth = isObject ? width + 2 : 0;
    const valueEntries = keyEntries + count * keyEntryWidth;
    this.#take(2 * width + count * (keyEntryWidth + 1 + width));
    out.byte(isObject ? 0x7b : 0x5b);
    for (let i = 0; i < count; i++) {
      if (i > 0) out.byte(0x2c);
      if (isObject) {
        const keyEntry = keyEntries + i * keyEntryWidth;
        this.#text(bytesAt(source, start + number(keyEntry), source.readUInt16LE(keyEntry + width)));
        out.byte(0x3a);
      }
      const valueEntry = valueEntries + i * (1 + width);
      const type = source.readUInt8(valueEntry);
      this.value(type, isInline(type, width) ? valueEntry + 1 : start + number(valueEntry + 1), depth + 1);
    }
    out.byte(isObject ? 0x7d : 0x5d);
  }

  #text(bytes: Buffer): void {
    this.#take(bytes.length);
    const out = this.#out;
    out.byte(0x22);
    for (let at = 0; at < bytes.length;) {
      const end = characterEnd(bytes, at + pieceBytes);
      const escaped = JSON.stringify(bytes.toString('utf8', at, end)).slice(1, -1);
      const utf8 = Buffer.from(withoutNul(escaped, this.#conversions), 'utf8');
      out.text(utf8, 0, utf8.length);
      at = end;
    }
    out.byte(0x22);
  }

  /** A value of an SQL type that JSON lacks: decimals print as numbers, temporals as strings, the rest as base64. */
  #opaque(start: number): void {
    const source = this.#source;
    const out = this.#out;
    const type = source.readUInt8(start);
    const { length, next } = variableLength(source, start + 1);
    const value = bytesAt(source, next, length);
    this.#take(length);
    switch (type) {
      case binlogType.newdecimal:
        decimalReader(value.readUInt8(0), value.readUInt8(1)).read(value, 2, out);
        return;
      case binlogType.date:
      case binlogType.datetime:
      case binlogType.timestamp:
        return out.ascii(`"${packedDatetimeText(value.readBigInt64LE(0), type === binlogType.date)}"`);
      case binlogType.time:
        return out.ascii(`"${packedTimeText(value.readBigInt64LE(0))}"`);
      default:
        out.ascii(`"base64:type${type}:`);
        for (let at = 0; at < length; at += base64LineBytes) {
          // The server puts a line break between the lines. JSON escapes it, and COPY escapes the backslash.
          if (at > 0) out.ascii(String.raw`\\n`);
          out.ascii(value.toString('base64', at, Math.min(length, at + base64LineBytes)));
        }
        out.byte(0x22);
    }
  }
}

/** The end of the last character that begins before `end`, so that no piece ends within a character. */
function characterEnd(bytes: Buffer, end: number): number {
  if (end >= bytes.length) return bytes.length;
  let at = end;
  // A character has at most three bytes after its first. More of them are no character.
  while (at > end - 3 && ((bytes[at] as number) & 0xc0) === 0x80) at--;
  return at;
}

function isInline(type: number, width: 2 | 4): boolean {
  if (type === jsonType.literal || type === jsonType.int16 || type === jsonType.uint16) return true;
  return width === 4 && (type === jsonType.int32 || type === jsonType.uint32);
}

function literalText(code: number | undefined): string {
  if (code === 0) return 'null';
  if (code === 1) return 'true';
  if (code === 2) return 'false';
  throw new RangeError('binary json holds an unknown literal');
}

/**
 * Integers below 1e15 get `.0`, as the server prints them; jsonb keeps that digit as scale. The server prints larger ones with an
 * exponent, and jsonb keeps no scale for them.
 */
function doubleText(value: number): string {
  if (!Number.isFinite(value)) throw new RangeError('binary json holds a number that is not finite');
  if (value === 0) return 1 / value < 0 ? '-0.0' : '0.0';
  return Number.isInteger(value) && Math.abs(value) < 1e15 ? `${value}.0` : String(value);
}

/** Seven bits per byte, least significant first; a set high bit means that another byte follows. Five bytes hold 32 bits. */
function variableLength(source: Buffer, start: number): { length: number; next: number } {
  let length = 0;
  let shift = 1;
  for (let at = start; at < start + 5; at++, shift *= 128) {
    const byte = source.readUInt8(at);
    length += (byte & 0x7f) * shift;
    if (byte < 0x80) return { length, next: at + 1 };
  }
  throw new RangeError('binary json holds a length of too many bytes');
}

const digits = (value: bigint, width: number) => value.toString().padStart(width, '0');

function packedDatetimeText(packed: bigint, dateOnly: boolean): string {
  const integerPart = packed >> 24n;
  const yearMonth = integerPart >> 22n;
  const date = `${digits(yearMonth / 13n, 4)}-${digits(yearMonth % 13n, 2)}-${digits((integerPart >> 17n) & 31n, 2)}`;
  return dateOnly ? date : `${date} ${clockText(integerPart & 0x1ffffn, packed & 0xffffffn)}`;
}

function packedTimeText(packed: bigint): string {
  const absolute = packed < 0n ? -packed : packed;
  return `${packed < 0n ? '-' : ''}${clockText((absolute >> 24n) & 0x3fffffn, absolute & 0xffffffn)}`;
}

function clockText(clock: bigint, microseconds: bigint): string {
  return `${digits(clock >> 12n, 2)}:${digits((clock >> 6n) & 63n, 2)}:${digits(clock & 63n, 2)}.${digits(microseconds, 6)}`;
}
