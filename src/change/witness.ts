/**
 * A group of the source that was applied, as the source must show it again. A group is a transaction, or a statement that is one of its own.
 * Only groups that changed the source database are remembered.
 */
export interface Witness {
  /** Null: the server has none. */
  readonly gtid: string | null;
  /** The group before it in its replication domain; null: not known, or not on MariaDB. A dump from there begins with this group. */
  readonly before: string | null;
  /** Where it starts. On another server only the GTID counts. */
  readonly file: string;
  readonly offset: number;
  /** Seconds since 1970 by the source's clock, as its first change states. */
  readonly at: number;
  /** A CRC-32 of what it changed: names and row images, and the text of definitions. */
  readonly digest: number;
}

/** The replication domain or server of a GTID: what comes in one order. The GTID of MySQL begins with a UUID, of MariaDB with a domain. */
export function sequenceOf(gtid: string | null): string {
  if (gtid === null) return '';
  const colon = gtid.indexOf(':');
  return colon < 0 ? gtid.slice(0, gtid.indexOf('-')) : gtid.slice(0, colon);
}

/** The last GTID of each domain of a MariaDB position. */
export function lastOfDomains(text: string | null): Map<string, string> {
  if (text === null || text.includes(':')) return new Map();
  const gtids = text.split(',').map((gtid) => gtid.trim());
  return new Map(gtids.filter((gtid) => gtid !== '').map((gtid) => [sequenceOf(gtid), gtid]));
}
