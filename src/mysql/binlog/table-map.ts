import { bytesAt } from '../../change/bytes-at.ts';
import { binlogType } from '../../mapping/binlog-types.ts';
import { readLengthEncoded } from '../wire/length-encoded.ts';

/** What a TABLE_MAP event describes: the names of a table, and the type and metadata of each column. It never has column names. */
export interface TableMap {
  readonly database: string;
  readonly table: string;
  readonly types: readonly number[];
  /** Per column, as its codec reads it: a length, digits, a fraction … little endian. 0 if the type has none. */
  readonly metadata: readonly number[];
}

/** The id that later row events use for this table. Ids restart with the server, so an id means nothing beyond its group. */
export function tableIdAt(source: Buffer, body: number): number {
  return source.readUIntLE(body, 6);
}

/** The most columns that a table can have. */
export const mostColumns = 4096;

/**
 * Reads the body of a TABLE_MAP event (libs/mysql/binlog/event/rows_event.h, `Table_map_event`). Raises RangeError if the event ends before
 * what it states.
 */
export function readTableMap(source: Buffer, body: number): TableMap {
  let at = body + 8;
  const name = () => {
    const length = source.readUInt8(at);
    const text = bytesAt(source, at + 1, length).toString('utf8');
    at += length + 2;
    return text;
  };
  const database = name();
  const table = name();
  const { value: count, next } = readLengthEncoded(source, at);
  if (count > mostColumns) throw new RangeError('a table has more columns than a table can have');
  const types = [...bytesAt(source, next, count)];
  at = readLengthEncoded(source, next + count).next;
  const metadata: number[] = [];
  for (let i = 0; i < count; i++) {
    const type = types[i] as number;
    switch (type) {
      case binlogType.varchar:
      case binlogType.bit:
      case binlogType.newdecimal:
      case mariadbVarcharCompressed:
        metadata.push(source.readUInt16LE(at));
        at += 2;
        break;
      case binlogType.string:
      case binlogType.varString:
      case binlogType.enum:
      case binlogType.set: {
        const real = stringType(source.readUInt8(at), source.readUInt8(at + 1));
        types[i] = real.type;
        metadata.push(real.length);
        at += 2;
        break;
      }
      case binlogType.float:
      case binlogType.double:
      case binlogType.blob:
      case binlogType.json:
      case binlogType.geometry:
      case binlogType.vector:
      case binlogType.timestamp2:
      case binlogType.datetime2:
      case binlogType.time2:
      case mariadbBlobCompressed:
        metadata.push(source.readUInt8(at));
        at += 1;
        break;
      default:
        metadata.push(0);
    }
  }
  return { database, table, types, metadata };
}

/** MariaDB's compressed columns. Their metadata must be skipped. */
const mariadbBlobCompressed = 140;
const mariadbVarcharCompressed = 141;

/**
 * CHAR, BINARY, ENUM and SET share type 254. The first metadata byte holds the real type. Its bits 4 and 5 are the inverted high bits of a
 * CHAR's byte length, so that the length can exceed 255 (Field_string::do_save_field_metadata).
 */
function stringType(first: number, second: number): { type: number; length: number } {
  if ((first & 0x30) !== 0x30) return { type: first | 0x30, length: second | (((first & 0x30) ^ 0x30) << 4) };
  return { type: first, length: second };
}
