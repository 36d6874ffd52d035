import { binlogType } from './binlog-types.ts';
import type { ColumnSchema } from '../definition/table-schema.ts';
import {
  type Codec,
  type CodecFamily,
  type Conversions,
  type TextReader,
  fixedWidth,
  plainText,
  quotedLiteral,
  quotedOf,
} from './codec.ts';
import { oldDatetimeReader, oldTimeReader, oldTimestampReader } from './old-temporal.ts';
import { highestHour, isDate, writeClock, writeDate, writeFraction, writeInstant } from './temporal-text.ts';

/** Bytes of 0 to 6 fractional digits in the temporal formats of MySQL 5.6. */
const fractionBytes = [0, 1, 1, 2, 2, 3, 3] as const;

/** A family of types whose invalid dates become NULL and are counted. Without `conversions` they are written as they are. */
type DateFamily = (column: ColumnSchema, conversions: Conversions | null) => Codec | undefined;

/** date. Zero and impossible dates become NULL and are counted. The source accepts them with `sql_mode=''`. */
export const dates: DateFamily = (column, conversions) => {
  if (column.type !== 'date') return undefined;
  const reader = fixedWidth(3, (source, at, out) => {
    const packed = source.readUIntLE(at, 3);
    writeDate(packed >> 9, (packed >> 5) & 15, packed & 31, conversions, out);
  });
  return {
    pgType: 'date',
    fromText: dateText(conversions),
    fromImage: (code) => (code === binlogType.date || code === binlogType.newdate ? reader : null),
    keyLiteral: quotedLiteral,
    literalsOf: quotedOf,
    sortsAlike: true,
  };
};

/** datetime(n): verbatim, no zone. */
export const datetimes: DateFamily = (column, conversions) => {
  if (column.type !== 'datetime') return undefined;
  const { fraction } = column;
  return {
    pgType: `timestamp(${fraction})`,
    fromText: dateText(conversions),
    fromImage: (code, metadata) => {
      if (code === binlogType.datetime2 && metadata === fraction) return datetime2Reader(fraction, conversions);
      return code === binlogType.datetime ? oldDatetimeReader(fraction, conversions) : null;
    },
    keyLiteral: quotedLiteral,
    literalsOf: quotedOf,
    sortsAlike: true,
  };
};

/** timestamp(n): an instant, read in UTC. */
export const timestamps: DateFamily = (column, conversions) => {
  if (column.type !== 'timestamp') return undefined;
  const { fraction } = column;
  const extra = fractionBytes[fraction] as number;
  const timestamp2 = fixedWidth(4 + extra, (source, at, out) => {
    const part = extra === 0 ? 0 : fractionPart(source.readUIntBE(at + 4, extra), fraction);
    writeInstant(source.readUInt32BE(at), part, fraction, conversions, out);
  });
  return {
    pgType: `timestamptz(${fraction})`,
    fromText: dateText(conversions),
    fromImage: (code, metadata) => {
      if (code === binlogType.timestamp2 && metadata === fraction) return timestamp2;
      return code === binlogType.timestamp ? oldTimestampReader(fraction, conversions) : null;
    },
    keyLiteral: quotedLiteral,
    literalsOf: quotedOf,
    sortsAlike: true,
  };
};

/** time(n): an interval from -838:59:59 to 838:59:59. */
export const times: CodecFamily = (column) => {
  if (column.type !== 'time') return undefined;
  const { fraction } = column;
  return {
    pgType: `interval(${fraction})`,
    fromText: plainText,
    fromImage: (code, metadata) => {
      if (code === binlogType.time2 && metadata === fraction) return time2Reader(fraction);
      return code === binlogType.time ? oldTimeReader(fraction) : null;
    },
    keyLiteral: quotedLiteral,
    literalsOf: quotedOf,
    sortsAlike: true,
  };
};

function dateText(conversions: Conversions | null): TextReader {
  if (conversions === null) return plainText;
  return (source, start, end, out) => {
    const digit = (at: number) => (source[start + at] as number) - 0x30;
    const year = digit(0) * 1000 + digit(1) * 100 + digit(2) * 10 + digit(3);
    if (isDate(year, digit(5) * 10 + digit(6), digit(8) * 10 + digit(9))) plainText(source, start, end, out);
    else {
      conversions.dateToNull++;
      out.null();
    }
  };
}

/** An odd number of digits is stored with one digit more. */
function fractionPart(stored: number, fraction: number): number {
  return fraction % 2 === 1 ? Math.floor(stored / 10) : stored;
}

/** DATETIME2: sign 1 bit, year*13+month 17, day 5, hour 5, minute 6, second 6; then the fraction, all big endian. */
function datetime2Reader(fraction: number, conversions: Conversions | null) {
  const extra = fractionBytes[fraction] as number;
  return fixedWidth(5 + extra, (source, at, out) => {
    const high = source.readUInt32BE(at);
    const low = source[at + 4] as number;
    const yearMonth = (high >>> 14) & 0x1ffff;
    const day = (high >>> 9) & 31;
    if (!writeDate(Math.floor(yearMonth / 13), yearMonth % 13, day, conversions, out)) return;
    out.byte(0x20);
    writeClock((high >>> 4) & 31, ((high & 15) << 2) | (low >> 6), low & 63, highestHour.day, out);
    if (extra > 0) writeFraction(fractionPart(source.readUIntBE(at + 5, extra), fraction), fraction, out);
  });
}

/** TIME2: 24 bits offset by 0x800000, then the fraction; a negative time is stored as the complement of both. */
function time2Reader(fraction: number) {
  const extra = fractionBytes[fraction] as number;
  const scale = 256 ** extra;
  const zero = 0x80_0000 * scale;
  return fixedWidth(3 + extra, (source, at, out) => {
    const offset = source.readUIntBE(at, 3 + extra) - zero;
    if (offset < 0) out.byte(0x2d);
    const packed = Math.abs(offset);
    const clock = Math.floor(packed / scale);
    writeClock((clock >> 12) & 0x3ff, (clock >> 6) & 63, clock & 63, highestHour.time, out);
    writeFraction(fractionPart(packed % scale, fraction), fraction, out);
  });
}
