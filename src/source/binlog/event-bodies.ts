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

/** The statement of a Query event and the database it ran in. It may hold values and passwords: it is never logged. */
export function readStatement(source: Buffer, body: number, end: number): { sql: string; database: string } {
  const databaseLength = source[body + 8] as number;
  const statusLength = source.readUInt16LE(body + 11);
  const database = body + 13 + statusLength;
  return {
    database: source.toString('utf8', database, database + databaseLength),
    sql: source.toString('utf8', database + databaseLength + 1, end),
  };
}
