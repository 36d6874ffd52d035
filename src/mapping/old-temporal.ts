import type { Conversions, ImageReader } from './codec.ts';
import { fixedWidth } from './codec.ts';
import { highestHour, writeClock, writeDate, writeFraction, writeInstant } from './temporal-text.ts';

// The formats before MySQL 5.6. MariaDB still writes them with mysql56_temporal_format=OFF and keeps them in tables that were
// created so. Without a fraction they are numbers of decimal digits. With a fraction they are MariaDB's own big-endian numbers
// (MariaDB sql/field.cc, `Field_timestamp_hires`, `Field_time_hires`, `Field_datetime_hires`). The binlog does not record the
// fraction: only the schema has it.

/** Bytes of a DATETIME, a TIME and a TIMESTAMP's fraction with 0 to 6 digits. */
const datetimeBytes = [8, 6, 6, 7, 7, 7, 8] as const;
const timeBytes = [3, 4, 4, 5, 5, 5, 6] as const;
const fractionBytes = [0, 1, 1, 2, 2, 3, 3] as const;

/**
 * Without a fraction: the decimal number YYYYMMDDhhmmss. With a fraction: the count of its units since year 0, in months of 32
 * days and years of 13 months.
 */
export function oldDatetimeReader(fraction: number, conversions: Conversions | null): ImageReader {
  if (fraction === 0)
    return fixedWidth(8, (source, at, out) => {
      const packed = Number(source.readBigUInt64LE(at));
      const date = Math.floor(packed / 1_000_000);
      const clock = packed % 1_000_000;
      if (!writeDate(Math.floor(date / 10_000), Math.floor(date / 100) % 100, date % 100, conversions, out)) return;
      out.byte(0x20);
      writeClock(Math.floor(clock / 10_000), Math.floor(clock / 100) % 100, clock % 100, highestHour.day, out);
    });
  const width = datetimeBytes[fraction] as number;
  const units = 10n ** BigInt(fraction);
  return fixedWidth(width, (source, at, out) => {
    const high = source.readUIntBE(at, width - 4);
    const packed = (BigInt(high) << 32n) | BigInt(source.readUInt32BE(at + width - 4));
    const seconds = Number(packed / units);
    const day = Math.floor(seconds / 86_400);
    const month = day >> 5;
    if (!writeDate(Math.floor(month / 13), month % 13, day & 31, conversions, out)) return;
    const clock = seconds % 86_400;
    out.byte(0x20);
    writeClock(Math.floor(clock / 3600), Math.floor(clock / 60) % 60, clock % 60, highestHour.day, out);
    writeFraction(Number(packed % units), fraction, out);
  });
}

/**
 * Without a fraction: the signed decimal number hhhmmss. With a fraction: the count of its units, offset so that the lowest time
 * is 1.
 */
export function oldTimeReader(fraction: number): ImageReader {
  if (fraction === 0)
    return fixedWidth(3, (source, at, out) => {
      const packed = source.readIntLE(at, 3);
      if (packed < 0) out.byte(0x2d);
      const clock = Math.abs(packed);
      writeClock(Math.floor(clock / 10_000), Math.floor(clock / 100) % 100, clock % 100, highestHour.time, out);
    });
  const width = timeBytes[fraction] as number;
  const units = 10 ** fraction;
  const zero = 839 * 3600 * units;
  return fixedWidth(width, (source, at, out) => {
    const offset = source.readUIntBE(at, width) - zero;
    if (offset < 0) out.byte(0x2d);
    const packed = Math.abs(offset);
    const clock = Math.floor(packed / units);
    writeClock(Math.floor(clock / 3600), Math.floor(clock / 60) % 60, clock % 60, highestHour.time, out);
    writeFraction(packed % units, fraction, out);
  });
}

/** Seconds since 1970, little endian. With a fraction: big endian, followed by the digits of the fraction as a number. */
export function oldTimestampReader(fraction: number, conversions: Conversions | null): ImageReader {
  if (fraction === 0)
    return fixedWidth(4, (source, at, out) => writeInstant(source.readUInt32LE(at), 0, 0, conversions, out));
  const extra = fractionBytes[fraction] as number;
  return fixedWidth(4 + extra, (source, at, out) => {
    writeInstant(source.readUInt32BE(at), source.readUIntBE(at + 4, extra), fraction, conversions, out);
  });
}
