import type { ColumnSchema } from '../definition/table-schema.ts';
import { binlogType } from './binlog-types.ts';
import { type Codec, Conversions, type ImageReader, fixedWidth, lengthPrefixed } from './codec.ts';
import { decimalReader } from './numbers.ts';
import { oldDatetimeReader, oldTimeReader, oldTimestampReader } from './old-temporal.ts';

/** Widths in bytes of the types without metadata. */
const widths: Readonly<Record<number, number>> = {
  [binlogType.tiny]: 1,
  [binlogType.short]: 2,
  [binlogType.int24]: 3,
  [binlogType.long]: 4,
  [binlogType.longlong]: 8,
  [binlogType.float]: 4,
  [binlogType.double]: 8,
  [binlogType.year]: 1,
  [binlogType.date]: 3,
  [binlogType.newdate]: 3,
};

/**
 * Skips the values of a column that is not replicated. It relies on the binlog alone, so the type of the column may be unknown.
 * The temporal formats before MySQL 5.6 are the exception: the binlog does not record their width.
 */
export function omitted(column: ColumnSchema): Codec['fromImage'] {
  return (type, metadata) => {
    const reader = readerOf(column, type, metadata);
    return reader === null ? null : { read: reader.skip, skip: reader.skip };
  };
}

function readerOf({ fraction }: ColumnSchema, type: number, metadata: number): ImageReader | null {
  const width = widths[type];
  if (width !== undefined) return past(width);
  const fractionBytes = (metadata + 1) >> 1;
  switch (type) {
    case binlogType.timestamp2:
      return past(4 + fractionBytes);
    case binlogType.datetime2:
      return past(5 + fractionBytes);
    case binlogType.time2:
      return past(3 + fractionBytes);
    case binlogType.timestamp:
      return oldTimestampReader(fraction, new Conversions());
    case binlogType.datetime:
      return oldDatetimeReader(fraction, new Conversions());
    case binlogType.time:
      return oldTimeReader(fraction);
    case binlogType.newdecimal:
      return decimalReader(metadata & 0xff, metadata >> 8);
    case binlogType.bit:
      return past((metadata >> 8) + ((metadata & 0xff) > 0 ? 1 : 0));
    case binlogType.enum:
    case binlogType.set:
      return past(metadata);
    case binlogType.string:
    case binlogType.varchar:
    case binlogType.varString:
    case binlogType.varcharCompressed:
      return pastPrefixed(metadata < 256 ? 1 : 2);
    case binlogType.blob:
    case binlogType.blobCompressed:
    case binlogType.geometry:
    case binlogType.json:
    case binlogType.vector:
      return pastPrefixed(metadata);
    default:
      return null;
  }
}

function past(width: number): ImageReader {
  return fixedWidth(width, () => undefined);
}

function pastPrefixed(prefix: number): ImageReader {
  return lengthPrefixed(prefix, () => undefined);
}
