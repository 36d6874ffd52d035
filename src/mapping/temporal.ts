import type { LineBuffer } from '../change/line-buffer.ts';
import { binlogType } from './binlog-types.ts';
import { type CodecFamily, type Conversions, type TextReader, fixedWidth, plainText, quotedLiteral } from './codec.ts';

/** Bytes that hold the fractional digits 0 to 6 of the MySQL 5.6 temporal formats. */
const fractionBytes = [0, 1, 1, 2, 2, 3, 3] as const;

/** date. Zero and impossible dates, which `sql_mode=''` makes legal at the source, become NULL and are counted. */
export const dates: CodecFamily = (column, conversions) => {
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
  };
};

/** datetime(n): verbatim, no zone. */
export const datetimes: CodecFamily = (column, conversions) => {
  if (column.type !== 'datetime') return undefined;
  const { fraction } = column;
  return {
    pgType: `timestamp(${fraction})`,
    fromText: dateText(conversions),
    fromImage: (code, metadata) => {
      if (code === binlogType.datetime2 && metadata === fraction) return datetime2Reader(fraction, conversions);
      // The format before MySQL 5.6 and MariaDB 10.1; with fractional digits it has another layout that is not read yet.
      if (code === binlogType.datetime && fraction === 0) return oldDatetimeReader(conversions);
      return null;
    },
    keyLiteral: quotedLiteral,
  };
};

/** timestamp(n): an instant, read in UTC. */
export const timestamps: CodecFamily = (column, conversions) => {
  if (column.type !== 'timestamp') return undefined;
  const { fraction } = column;
  const extra = fractionBytes[fraction] as number;
  const timestamp2 = fixedWidth(4 + extra, (source, at, out) => {
    writeInstant(source.readUInt32BE(at), source, at + 4, fraction, conversions, out);
  });
  const old = fixedWidth(4, (source, at, out) => {
    writeInstant(source.readUInt32LE(at), source, at + 4, 0, conversions, out);
  });
  return {
    pgType: `timestamptz(${fraction})`,
    fromText: dateText(conversions),
    fromImage: (code, metadata) => {
      if (code === binlogType.timestamp2 && metadata === fraction) return timestamp2;
      if (code === binlogType.timestamp && fraction === 0) return old;
      return null;
    },
    keyLiteral: quotedLiteral,
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
      if (code === binlogType.time && fraction === 0) return oldTimeReader;
      return null;
    },
    keyLiteral: quotedLiteral,
  };
};

function dateText(conversions: Conversions): TextReader {
  return (source, start, end, out) => {
    const digit = (at: number) => (source[start + at] as number) - 0x30;
    const year = digit(0) * 1000 + digit(1) * 100 + digit(2) * 10 + digit(3);
    if (isDate(year, digit(5) * 10 + digit(6), digit(8) * 10 + digit(9))) out.plain(source, start, end);
    else {
      conversions.dateToNull++;
      out.null();
    }
  };
}

function isDate(year: number, month: number, day: number): boolean {
  if (year === 0 || month === 0 || day === 0) return false;
  return day <= 28 || day <= daysIn(year, month);
}

function daysIn(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** Writes a date, or NULL for one that is none; tells which. */
function writeDate(year: number, month: number, day: number, conversions: Conversions, out: LineBuffer): boolean {
  if (!isDate(year, month, day)) {
    conversions.dateToNull++;
    out.null();
    return false;
  }
  out.digits(year, 4);
  out.byte(0x2d);
  out.digits(month, 2);
  out.byte(0x2d);
  out.digits(day, 2);
  return true;
}

function writeClock(hour: number, minute: number, second: number, out: LineBuffer): void {
  out.digits(hour, hour > 99 ? 3 : 2);
  out.byte(0x3a);
  out.digits(minute, 2);
  out.byte(0x3a);
  out.digits(second, 2);
}

/** The fraction's digits; an odd number of them is stored as if there were one more. */
function writeFraction(stored: number, fraction: number, out: LineBuffer): void {
  if (fraction === 0) return;
  out.byte(0x2e);
  out.digits(fraction % 2 === 1 ? Math.floor(stored / 10) : stored, fraction);
}

/** DATETIME2: sign 1 bit, year*13+month 17, day 5, hour 5, minute 6, second 6; then the fraction, all big endian. */
function datetime2Reader(fraction: number, conversions: Conversions) {
  const extra = fractionBytes[fraction] as number;
  return fixedWidth(5 + extra, (source, at, out) => {
    const high = source.readUInt32BE(at);
    const low = source[at + 4] as number;
    const yearMonth = (high >>> 14) & 0x1ffff;
    const day = (high >>> 9) & 31;
    if (!writeDate(Math.floor(yearMonth / 13), yearMonth % 13, day, conversions, out)) return;
    out.byte(0x20);
    writeClock((high >>> 4) & 31, ((high & 15) << 2) | (low >> 6), low & 63, out);
    if (extra > 0) writeFraction(source.readUIntBE(at + 5, extra), fraction, out);
  });
}

/** The old DATETIME: the decimal number YYYYMMDDhhmmss in eight bytes. */
function oldDatetimeReader(conversions: Conversions) {
  return fixedWidth(8, (source, at, out) => {
    const packed = Number(source.readBigUInt64LE(at));
    const date = Math.floor(packed / 1_000_000);
    const clock = packed % 1_000_000;
    if (!writeDate(Math.floor(date / 10_000), Math.floor(date / 100) % 100, date % 100, conversions, out)) return;
    out.byte(0x20);
    writeClock(Math.floor(clock / 10_000), Math.floor(clock / 100) % 100, clock % 100, out);
  });
}

/** TIME2: 24 bits offset by 0x800000, then the fraction; a negative time is stored as the complement of the whole. */
function time2Reader(fraction: number) {
  const extra = fractionBytes[fraction] as number;
  const scale = 256 ** extra;
  const zero = 0x80_0000 * scale;
  return fixedWidth(3 + extra, (source, at, out) => {
    const offset = source.readUIntBE(at, 3 + extra) - zero;
    if (offset < 0) out.byte(0x2d);
    const packed = Math.abs(offset);
    const clock = Math.floor(packed / scale);
    writeClock((clock >> 12) & 0x3ff, (clock >> 6) & 63, clock & 63, out);
    writeFraction(packed % scale, fraction, out);
  });
}

/** The old TIME: the signed decimal number hhhmmss in three bytes. */
const oldTimeReader = fixedWidth(3, (source, at, out) => {
  const packed = source.readIntLE(at, 3);
  if (packed < 0) out.byte(0x2d);
  const clock = Math.abs(packed);
  writeClock(Math.floor(clock / 10_000), Math.floor(clock / 100) % 100, clock % 100, out);
});

const secondsPerDay = 86_400;

/** Seconds since 1970 in UTC; 0 without a fraction is the zero timestamp. */
function writeInstant(
  seconds: number,
  source: Buffer,
  fractionAt: number,
  fraction: number,
  conversions: Conversions,
  out: LineBuffer,
): void {
  const extra = fractionBytes[fraction] as number;
  const stored = extra === 0 ? 0 : source.readUIntBE(fractionAt, extra);
  if (seconds === 0 && stored === 0) {
    conversions.dateToNull++;
    out.null();
    return;
  }
  const days = Math.floor(seconds / secondsPerDay);
  const clock = seconds - days * secondsPerDay;
  writeCivil(days, out);
  out.byte(0x20);
  writeClock(Math.floor(clock / 3600), Math.floor(clock / 60) % 60, clock % 60, out);
  writeFraction(stored, fraction, out);
}

/** A day count since 1970-01-01 as a date of the Gregorian calendar, by eras of 400 years that begin in March. */
function writeCivil(days: number, out: LineBuffer): void {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  out.digits(yearOfEra + era * 400 + (month <= 2 ? 1 : 0), 4);
  out.byte(0x2d);
  out.digits(month, 2);
  out.byte(0x2d);
  out.digits(dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1, 2);
}
