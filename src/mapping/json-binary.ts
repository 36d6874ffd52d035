import { LineBuffer } from '../change/line-buffer.ts';
import { binlogType } from './binlog-types.ts';
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

/**
 * The JSON text of a stored MySQL json value, as the server prints it except for white space. Numbers stay exact: 64-bit integers
 * and decimals never pass through a double. An empty value means JSON null: the server stores it in a column that was added
 * without a default.
 */
export function binaryJsonText(source: Buffer): string {
  if (source.length === 0) return 'null';
  return valueText(source[0] as number, source, 1);
}

function valueText(type: number, source: Buffer, at: number): string {
  switch (type) {
    case jsonType.smallObject:
      return containerText(source, at, 2, true);
    case jsonType.largeObject:
      return containerText(source, at, 4, true);
    case jsonType.smallArray:
      return containerText(source, at, 2, false);
    case jsonType.largeArray:
      return containerText(source, at, 4, false);
    case jsonType.literal:
      return literalText(source[at] as number);
    case jsonType.int16:
      return String(source.readInt16LE(at));
    case jsonType.uint16:
      return String(source.readUInt16LE(at));
    case jsonType.int32:
      return String(source.readInt32LE(at));
    case jsonType.uint32:
      return String(source.readUInt32LE(at));
    case jsonType.int64:
      return source.readBigInt64LE(at).toString();
    case jsonType.uint64:
      return source.readBigUInt64LE(at).toString();
    case jsonType.double:
      return doubleText(source.readDoubleLE(at));
    case jsonType.string: {
      const { length, next } = variableLength(source, at);
      return JSON.stringify(textAt(source, next, length));
    }
    case jsonType.opaque:
      return opaqueText(source, at);
    default:
      throw new RangeError(`binary json holds the unknown value type ${type}`);
  }
}

/** `width` is 2 in the small form and 4 in the large one. Counts, offsets and inline values have this width. */
function containerText(source: Buffer, start: number, width: 2 | 4, isObject: boolean): string {
  const number = (at: number) => source.readUIntLE(at, width);
  const count = number(start);
  const keyEntries = start + 2 * width;
  const keyEntryWidth = isObject ? width + 2 : 0;
  const valueEntries = keyEntries + count * keyEntryWidth;
  const parts: string[] = [];
  for (let i = 0; i < count; i++) {
    const valueEntry = valueEntries + i * (1 + width);
    const type = source[valueEntry] as number;
    const at = isInline(type, width) ? valueEntry + 1 : start + number(valueEntry + 1);
    const value = valueText(type, source, at);
    if (!isObject) {
      parts.push(value);
      continue;
    }
    const keyEntry = keyEntries + i * keyEntryWidth;
    const keyAt = start + number(keyEntry);
    const key = textAt(source, keyAt, source.readUInt16LE(keyEntry + width));
    parts.push(`${JSON.stringify(key)}:${value}`);
  }
  return isObject ? `{${parts.join(',')}}` : `[${parts.join(',')}]`;
}

function isInline(type: number, width: 2 | 4): boolean {
  if (type === jsonType.literal || type === jsonType.int16 || type === jsonType.uint16) return true;
  return width === 4 && (type === jsonType.int32 || type === jsonType.uint32);
}

function literalText(code: number): string {
  if (code === 0) return 'null';
  if (code === 1) return 'true';
  if (code === 2) return 'false';
  throw new RangeError(`binary json holds the unknown literal ${code}`);
}

/**
 * Integers below 1e15 get `.0`, as the server prints them; jsonb keeps that digit as scale. The server prints larger ones with an
 * exponent, and jsonb keeps no scale for them.
 */
function doubleText(value: number): string {
  if (value === 0) return 1 / value < 0 ? '-0.0' : '0.0';
  return Number.isInteger(value) && Math.abs(value) < 1e15 ? `${value}.0` : String(value);
}

/** Seven bits per byte, least significant first; a set high bit means that another byte follows. */
function variableLength(source: Buffer, start: number): { length: number; next: number } {
  let length = 0;
  let at = start;
  for (let shift = 1; ; shift *= 128) {
    const byte = source.readUInt8(at++);
    length += (byte & 0x7f) * shift;
    if (byte < 0x80) return { length, next: at };
  }
}

/** Raises RangeError if the bytes end behind the document. */
function bytesAt(source: Buffer, at: number, length: number): Buffer {
  if (at + length > source.length) throw new RangeError('binary json ends within a value');
  return source.subarray(at, at + length);
}

function textAt(source: Buffer, at: number, length: number): string {
  return bytesAt(source, at, length).toString('utf8');
}

/** A value of an SQL type that JSON lacks: decimals print as numbers, temporals as strings, the rest as base64. */
function opaqueText(source: Buffer, start: number): string {
  const type = source[start] as number;
  const { length, next } = variableLength(source, start + 1);
  switch (type) {
    case binlogType.newdecimal: {
      const out = new LineBuffer(96);
      decimalReader(source[next] as number, source[next + 1] as number).read(source, next + 2, out);
      return out.bytes.toString('latin1', 0, out.length);
    }
    case binlogType.date:
    case binlogType.datetime:
    case binlogType.timestamp:
      return `"${packedDatetimeText(source.readBigInt64LE(next), type === binlogType.date)}"`;
    case binlogType.time:
      return `"${packedTimeText(source.readBigInt64LE(next))}"`;
    default:
      return JSON.stringify(`base64:type${type}:${base64Lines(bytesAt(source, next, length))}`);
  }
}

/** The server puts a line break between groups of 76 characters of base64. */
function base64Lines(bytes: Buffer): string {
  return (bytes.toString('base64').match(/.{1,76}/g) ?? []).join('\n');
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
