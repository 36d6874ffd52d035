import { isUnsigned } from '../definition/table-schema.ts';
import type { LineBuffer } from '../change/line-buffer.ts';
import { binlogType } from './binlog-types.ts';
import {
  type Codec,
  type CodecFamily,
  fixedWidth,
  isZeroFilled,
  numberLiteral,
  numbersOf,
  plainText,
  withoutFill,
} from './codec.ts';

interface IntegerType {
  readonly code: number;
  readonly width: number;
  readonly pg: { readonly signed: string; readonly unsigned: string };
}

const integerTypes: Readonly<Record<string, IntegerType>> = {
  tinyint: { code: binlogType.tiny, width: 1, pg: { signed: 'smallint', unsigned: 'smallint' } },
  smallint: { code: binlogType.short, width: 2, pg: { signed: 'smallint', unsigned: 'integer' } },
  mediumint: { code: binlogType.int24, width: 3, pg: { signed: 'integer', unsigned: 'integer' } },
  int: { code: binlogType.long, width: 4, pg: { signed: 'integer', unsigned: 'bigint' } },
  bigint: { code: binlogType.longlong, width: 8, pg: { signed: 'bigint', unsigned: 'numeric(20,0)' } },
};

/** tinyint … bigint, signed and unsigned. The binlog does not record the signedness: only the schema has it. */
export const integers: CodecFamily = (column) => {
  const type = integerTypes[column.type];
  if (type === undefined) return undefined;
  const unsigned = isUnsigned(column);
  const read = type.width === 8 ? (unsigned ? writeUint64 : writeInt64) : integerReader(type.width, unsigned);
  const reader = fixedWidth(type.width, read);
  return {
    pgType: unsigned ? type.pg.unsigned : type.pg.signed,
    // Zero-filled text would differ from the text of a row image, and keys are compared as text.
    fromText: isZeroFilled(column) ? withoutFill : plainText,
    fromImage: (code) => (code === type.code ? reader : null),
    keyLiteral: numberLiteral,
    literalsOf: numbersOf,
    sortsAlike: true,
  };
};

/** year: the offset from 1900 in one byte; 0 stays 0. The value of a year(2) is the two digits that the server prints. */
export const year: CodecFamily = (column): Codec | undefined => {
  if (column.type !== 'year') return undefined;
  const century = /^year\(2\)/i.test(column.fullType) ? 100 : 10_000;
  const reader = fixedWidth(1, (source, at, out) => {
    const offset = source[at] as number;
    out.integer(offset === 0 ? 0 : (offset + 1900) % century);
  });
  return {
    pgType: 'smallint',
    // The server prints year 0 as 0000.
    fromText: withoutFill,
    fromImage: (code) => (code === binlogType.year ? reader : null),
    keyLiteral: numberLiteral,
    literalsOf: numbersOf,
    ...(century === 100 ? {} : { sortsAlike: true }),
  };
};

function integerReader(width: number, unsigned: boolean): (source: Buffer, at: number, out: LineBuffer) => void {
  switch (width) {
    case 1:
      return unsigned
        ? (source, at, out) => out.integer(source[at] as number)
        : (source, at, out) => out.integer(((source[at] as number) << 24) >> 24);
    case 2:
      return unsigned
        ? (source, at, out) => out.integer(source.readUInt16LE(at))
        : (source, at, out) => out.integer(source.readInt16LE(at));
    case 3:
      return unsigned
        ? (source, at, out) => out.integer(source.readUIntLE(at, 3))
        : (source, at, out) => out.integer(source.readIntLE(at, 3));
    default:
      return unsigned
        ? (source, at, out) => out.integer(source.readUInt32LE(at))
        : (source, at, out) => out.integer(source.readInt32LE(at));
  }
}

/** Up to 2^53 a double is exact and fast; beyond it BigInt is exact. */
function writeInt64(source: Buffer, at: number, out: LineBuffer): void {
  const high = source.readInt32LE(at + 4);
  if (high >= -0x20_0000 && high < 0x20_0000) out.integer(high * 0x1_0000_0000 + source.readUInt32LE(at));
  else out.ascii(source.readBigInt64LE(at).toString());
}

function writeUint64(source: Buffer, at: number, out: LineBuffer): void {
  const high = source.readUInt32LE(at + 4);
  if (high < 0x20_0000) out.integer(high * 0x1_0000_0000 + source.readUInt32LE(at));
  else out.ascii(source.readBigUInt64LE(at).toString());
}
