import { inflateSync } from 'node:zlib';
import { bytesAt } from '../../change/bytes-at.ts';
import { inflatedLimit } from '../../change/expansion.ts';
import type { QuotingMode } from '../tokenize.ts';
import type { EventHeader } from './event-header.ts';

/** Flags of MariaDB's Gtid event (sql/log_event.h, Gtid_log_event). */
const mariadbStandalone = 1;
const mariadbPreparedXa = 64;
const mariadbCompletedXa = 128;

/** `domain-server-sequence` of a MariaDB Gtid event, and the kind of group that it starts. */
export function readMariadbGtid(
  header: EventHeader,
  source: Buffer,
  body: number,
): { gtid: string; isAlone: boolean; isPreparedXa: boolean } {
  const flags = source.readUInt8(body + 12);
  return {
    gtid: `${source.readUInt32LE(body + 8)}-${header.serverId}-${source.readBigUInt64LE(body)}`,
    isAlone: (flags & (mariadbStandalone | mariadbCompletedXa)) !== 0,
    isPreparedXa: (flags & mariadbPreparedXa) !== 0,
  };
}

/** Numbers of transactions are signed at the server, and start at 1. */
const mostGno = 2n ** 63n - 1n;
/** The tag of a GTID, in the form that the server prints (libs/mysql/gtid/tag.cpp). */
const tagForm = /^[a-z_][a-z0-9_]{0,31}$/;

/** `uuid:number` of a MySQL Gtid event. Its body has flags, 16 bytes of uuid and 8 bytes of number. Raises RangeError. */
export function readMysqlGtid(source: Buffer, body: number): string {
  const hex = bytesAt(source, body + 1, 16).toString('hex');
  return `${dashed(hex)}:${gnoOf(source.readBigUInt64LE(body + 17))}`;
}

function gnoOf(number: bigint): bigint {
  if (number >= 1n && number <= mostGno) return number;
  throw new RangeError('a GTID has a number that no server gives');
}

/**
 * `uuid:tag:number` of a tagged Gtid event of MySQL 8.3 and later (libs/mysql/serialization/readme.md). The event has its version, its
 * size, and the last field that a reader must understand. Then come fields with their numbers: flags, uuid, number, tag and others. Raises
 * RangeError if the event has another form.
 */
export function readTaggedGtid(source: Buffer, body: number): string {
  let at = body;
  const integer = (): bigint => {
    const { value, next } = readTrailingOnes(source, at);
    at = next;
    return value;
  };
  const field = (number: number) => {
    if (integer() !== BigInt(number)) throw new RangeError('a tagged GTID has other fields than known');
  };
  if (integer() !== 1n) throw new RangeError('a tagged GTID is of another version than known');
  integer();
  integer();
  field(0);
  integer();
  field(1);
  const hex = Buffer.from(Array.from({ length: 16 }, () => Number(integer()))).toString('hex');
  field(2);
  // Signed integers have their sign in the lowest bit.
  const gno = gnoOf(integer() >> 1n);
  field(3);
  const length = Number(integer());
  const tag = bytesAt(source, at, length).toString('latin1');
  if (!tagForm.test(tag)) throw new RangeError('a tagged GTID has a tag that no server gives');
  return `${dashed(hex)}:${tag}:${gno}`;
}

/** An integer whose first byte ends with as many 1 bits as bytes follow it. */
function readTrailingOnes(source: Buffer, at: number): { value: bigint; next: number } {
  const first = source.readUInt8(at);
  let more = 0;
  while (more < 8 && ((first >> more) & 1) === 1) more++;
  let value = 0n;
  for (let i = more; i >= 0; i--) value = (value << 8n) | BigInt(source.readUInt8(at + i));
  return { value: value >> BigInt(more === 8 ? 8 : more + 1), next: at + more + 1 };
}

function dashed(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** The smallest buffer that Node's zlib accepts. */
const leastPiece = 64;

/**
 * Inflates data that MariaDB compressed (log_bin_compress, sql/log_event.cc, `binlog_buf_uncompress`); null: it is too large. One byte
 * holds the method and the number of length bytes. The length follows, and then the zlib data. Raises RangeError if the data has another
 * form.
 */
export function inflate(source: Buffer, at: number): Buffer | null {
  const first = source.readUInt8(at);
  const lengthBytes = first & 0x07;
  if ((first & 0xf0) !== 0x80 || lengthBytes === 0) throw new RangeError('compressed by another method than known');
  const length = source.readUIntBE(at + 1, lengthBytes);
  const data = source.subarray(at + 1 + lengthBytes);
  if (length > inflatedLimit(data.length)) return null;
  let plain: Buffer;
  try {
    // One byte more than stated shows that there are more, and one piece needs no copy.
    plain = inflateSync(data, {
      maxOutputLength: Math.max(length, 1),
      chunkSize: Math.max(leastPiece, length + 1),
    });
  } catch (error) {
    throw new RangeError('compressed data cannot be inflated', { cause: error });
  }
  if (plain.length !== length) throw new RangeError('compressed data has another length than it states');
  return plain;
}

/** A Query event. It may hold values and passwords, so it is never logged. */
export interface StatementText extends QuotingMode {
  readonly sql: string;
  /** The default database of the statement. */
  readonly database: string;
}

/** Bits of sql_mode, the same in MySQL and MariaDB. */
const ansiQuotes = 4;
const noBackslashEscapes = 1 << 20;

/**
 * Reads a Query event; null: its statement is too large. The statement is in the character set of its client, and only UTF-8 is read: bytes
 * that are not UTF-8 become U+FFFD. Status variables come before it, and the first two are read: flags and then sql_mode
 * (libs/mysql/binlog/event/statement_events.h, `Query_event`).
 */
export function readStatement(source: Buffer, body: number, isCompressed: boolean): StatementText | null {
  return readQuery(source, body, body + 13, isCompressed);
}

/** Reads an Execute_load_query event, which has 13 more bytes on the file (`Execute_load_query_event`). */
export function readLoadStatement(source: Buffer, body: number): StatementText | null {
  return readQuery(source, body, body + 26, false);
}

function readQuery(source: Buffer, body: number, status: number, isCompressed: boolean): StatementText | null {
  const databaseLength = source.readUInt8(body + 8);
  const statusLength = source.readUInt16LE(body + 11);
  const database = status + statusLength;
  const text = database + databaseLength + 1;
  const modeAt = statusLength > 5 && source[status] === 0 ? status + 5 : status;
  // An event without this variable comes from a server that had no SQL modes.
  const mode = modeAt + 9 <= database && source[modeAt] === 1 ? source.readUInt32LE(modeAt + 1) : 0;
  const sql = isCompressed ? inflate(source, text) : bytesAt(source, text, source.length - text);
  if (sql === null) return null;
  return {
    database: bytesAt(source, database, databaseLength).toString('utf8'),
    sql: sql.toString('utf8'),
    ansiQuotes: (mode & ansiQuotes) !== 0,
    backslashEscapes: (mode & noBackslashEscapes) === 0,
  };
}
