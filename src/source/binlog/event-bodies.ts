import type { QuotingMode } from '../tokenize.ts';
import type { EventHeader } from './event-header.ts';

/** Flags of MariaDB's Gtid event (sql/log_event.h, Gtid_log_event). */
const mariadbStandalone = 1;
const mariadbPreparedXa = 64;
const mariadbCompletedXa = 128;

/** `domain-server-sequence` of a MariaDB Gtid event, and what kind of group it begins. */
export function readMariadbGtid(
  header: EventHeader,
  source: Buffer,
  body: number,
): { gtid: string; isAlone: boolean; isPreparedXa: boolean } {
  const flags = source[body + 12] as number;
  return {
    gtid: `${source.readUInt32LE(body + 8)}-${header.serverId}-${source.readBigUInt64LE(body)}`,
    isAlone: (flags & (mariadbStandalone | mariadbCompletedXa)) !== 0,
    isPreparedXa: (flags & mariadbPreparedXa) !== 0,
  };
}

/** `uuid:number` of a MySQL Gtid event: flags, 16 bytes of uuid, 8 of number. */
export function readMysqlGtid(source: Buffer, body: number): string {
  const hex = source.toString('hex', body + 1, body + 17);
  const uuid = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  return `${uuid}:${source.readBigUInt64LE(body + 17)}`;
}

/** A Query event. It may hold values and passwords: it is never logged. */
export interface StatementText extends QuotingMode {
  readonly sql: string;
  /** The database it ran in. */
  readonly database: string;
}

/** Bits of sql_mode, the same in MySQL and MariaDB. */
const ansiQuotes = 4;
const noBackslashEscapes = 1 << 20;

/**
 * The statement stands in its client's character set, of which only UTF-8 is read: what is none of its bytes becomes U+FFFD. Of the
 * variables before it the first two are read, flags and then sql_mode (libs/mysql/binlog/event/statement_events.h, `Query_event`).
 */
export function readStatement(source: Buffer, body: number, end: number): StatementText {
  const databaseLength = source[body + 8] as number;
  const statusLength = source.readUInt16LE(body + 11);
  const status = body + 13;
  const database = status + statusLength;
  const modeAt = statusLength > 5 && source[status] === 0 ? status + 5 : status;
  // Without it the server that wrote the event had no modes.
  const mode = modeAt + 9 <= database && source[modeAt] === 1 ? source.readUInt32LE(modeAt + 1) : 0;
  return {
    database: source.toString('utf8', database, database + databaseLength),
    sql: source.toString('utf8', database + databaseLength + 1, end),
    ansiQuotes: (mode & ansiQuotes) !== 0,
    backslashEscapes: (mode & noBackslashEscapes) === 0,
  };
}
