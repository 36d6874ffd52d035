import type { LineBuffer } from '../change/line-buffer.ts';
import { binlogType } from './binlog-types.ts';
import { type CodecFamily, type TextReader, lengthPrefixed, plainText, quotedLiteral, quotedOf } from './codec.ts';
import { InvalidValue } from './invalid-value.ts';

interface FixedType {
  readonly pgType: string;
  readonly width: number;
  readonly write: (value: Uint8Array, out: LineBuffer) => void;
}

const fixedTypes: Readonly<Record<string, FixedType>> = {
  uuid: { pgType: 'uuid', width: 16, write: writeUuid },
  inet4: { pgType: 'inet', width: 4, write: writeInet4 },
  inet6: { pgType: 'inet', width: 16, write: writeInet6 },
};

/**
 * MariaDB's uuid, inet4 and inet6. A row image holds them in network order, regardless of their order in the table. Like BINARY,
 * it drops zero bytes at the end (plugin/type_uuid/sql_type_uuid.h, `pack`).
 */
export const addresses: CodecFamily = (column) => {
  const type = fixedTypes[column.type];
  if (type === undefined) return undefined;
  const { pgType, width, write } = type;
  const value = new Uint8Array(width);
  const reader = lengthPrefixed(1, (source, start, end, out) => {
    if (end - start > width) throw new InvalidValue(`a ${column.type} is longer than ${width} bytes`);
    value.fill(0);
    for (let i = start; i < end; i++) value[i - start] = source[i] as number;
    write(value, out);
  });
  return {
    pgType,
    fromText: column.type === 'inet6' ? inet6Text : plainText,
    fromImage: (code, metadata) => (code === binlogType.string && metadata === width ? reader : null),
    keyLiteral: quotedLiteral,
    literalsOf: quotedOf,
  };
};

const hexDigits = Buffer.from('0123456789abcdef', 'latin1');

function writeHex(byte: number, out: LineBuffer): void {
  out.byte(hexDigits[byte >> 4] as number);
  out.byte(hexDigits[byte & 15] as number);
}

/** Writes the same text as from a row image, because keys are compared as text. */
const inet6Text: TextReader = (source, start, end, out) => {
  const [head = '', tail] = source.toString('latin1', start, end).split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':').flatMap(groupsOf));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const value = new Uint8Array(16);
  for (const [index, group] of before.entries()) putGroup(value, index, group);
  for (const [index, group] of after.entries()) putGroup(value, 8 - after.length + index, group);
  writeInet6(value, out);
};

/** Parses a group of four hexadecimal digits, or the IPv4 address at the end, which makes two groups. */
function groupsOf(text: string): number[] {
  if (!text.includes('.')) return [Number.parseInt(text, 16)];
  const [a = 0, b = 0, c = 0, d = 0] = text.split('.').map(Number);
  return [a * 256 + b, c * 256 + d];
}

function putGroup(value: Uint8Array, index: number, group: number): void {
  value[index * 2] = group >> 8;
  value[index * 2 + 1] = group & 0xff;
}

function writeUuid(value: Uint8Array, out: LineBuffer): void {
  for (let i = 0; i < value.length; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) out.byte(0x2d);
    writeHex(value[i] as number, out);
  }
}

function writeInet4(value: Uint8Array, out: LineBuffer): void {
  for (let i = 0; i < value.length; i++) {
    if (i > 0) out.byte(0x2e);
    out.integer(value[i] as number);
  }
}

/** Writes all eight groups; PostgreSQL shortens them. */
function writeInet6(value: Uint8Array, out: LineBuffer): void {
  for (let i = 0; i < value.length; i++) {
    if (i > 0 && i % 2 === 0) out.byte(0x3a);
    writeHex(value[i] as number, out);
  }
}
