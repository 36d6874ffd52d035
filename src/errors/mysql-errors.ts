import type { ErrorKind } from './error-kinds.ts';
import { TidegateError } from './tidegate-error.ts';
import { certificateHint, isCertificateCode, isNetworkError } from './transport-errors.ts';

type Role = 'reader' | 'replicator';

export interface SourceErrorContext {
  /** What was tried, in words: 'connect', 'query', 'read table t'. */
  readonly what: string;
  readonly role: Role;
}

/** What a code means, and what to do where that can be told better than by the kind. */
interface Meaning {
  readonly kind: ErrorKind;
  readonly hint?: (role: Role) => string;
}

const userSetting = { reader: 'SOURCE_DB_READONLY_USER', replicator: 'SOURCE_DB_REPLICATION_USER' } as const;
const passwordSetting = {
  reader: 'SOURCE_DB_READONLY_PASSWORD',
  replicator: 'SOURCE_DB_REPLICATION_PASSWORD',
} as const;

const unreachable: Meaning = { kind: 'source-unreachable' };
const busy: Meaning = { kind: 'source-busy' };
const privilege: Meaning = { kind: 'source-privilege' };
const statement: Meaning = { kind: 'source-statement' };
const redefined: Meaning = { kind: 'source-table', hint: () => 'Its definition changed while it was read.' };
const crashed: Meaning = {
  kind: 'source-table',
  hint: () =>
    'It is damaged at the source, where an administrator can look with check table … and repair with repair table …;',
};
const damaged: Meaning = {
  kind: 'source-table',
  hint: () => 'It is damaged at the source: an administrator must restore it there.',
};

const wrongLogin: Meaning = {
  kind: 'source-login',
  hint: (role) =>
    `Check ${userSetting[role]} and ${passwordSetting[role]}, and that the account exists for this machine's address: the part behind @ counts.`,
};
const authPlugin: Meaning = {
  kind: 'source-login',
  hint: (role) =>
    `The account of ${userSetting[role]} logs in by a method that cannot be spoken here. Let an administrator give it mysql_native_password (MariaDB) or caching_sha2_password (MySQL): alter user … identified via … / identified with … by '…';`,
};
const hostBlocked: Meaning = {
  kind: 'source-login',
  hint: () =>
    'The server turns this machine away after too many failed connections: flush hosts; there, then try again.',
};
const expired: Meaning = {
  kind: 'source-login',
  hint: (role) =>
    `The password of ${userSetting[role]} has expired or the account is locked. An administrator must renew it; for a service: alter user … password expire never;`,
};
const tlsRequired: Meaning = {
  kind: 'source-tls',
  hint: () => 'This server or account takes encrypted connections only: set SOURCE_DB_TLS to verify-full or verify-ca.',
};
const noTls: Meaning = {
  kind: 'source-tls',
  hint: () =>
    'The server offers no TLS. Turn it on there (ssl_cert and ssl_key), or, if the way to it is safe by other means such as a VPN, spell out SOURCE_DB_TLS=disable.',
};
/** One number for several failures, which only the text tells apart; where the position stands can be looked up. */
const dumpRefused: Meaning = {
  kind: 'binlog-unreadable',
  hint: () =>
    'The source stopped sending its binlog. Run `tidegate check`: it tells whether the position is still there. If it is, another replica or tool most likely announces the same SOURCE_SERVER_ID: choose a number that nobody else has and run again; nothing is lost.',
};
const tlsTooOld: Meaning = {
  kind: 'source-tls',
  hint: () =>
    'Tidegate and the server have no version of TLS in common. TLS 1.2 is the oldest that is spoken here; MySQL 5.6 and servers of its age know TLS 1.0 at most, which protects nothing any more. Update the server; or lead the connection through a VPN or an SSH tunnel and spell out SOURCE_DB_TLS=disable.',
};
const tlsFailed: Meaning = { kind: 'source-tls', hint: () => certificateHint('SOURCE') };

/**
 * Server errors by number. MySQL and MariaDB share those below 1900 and go apart after
 * (https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html, https://mariadb.com/kb/en/mariadb-error-code-reference/).
 */
const byErrno: Readonly<Record<number, Meaning>> = {
  // MyISAM and Aria tell some failures by the engine's own numbers (include/my_base.h).
  126: crashed, // index file
  127: crashed, // record file
  144: crashed, // and the last repair failed
  145: crashed, // on usage
  176: crashed, // a page's checksum
  1016: damaged, // its file cannot be opened
  1017: damaged, // its file is missing
  1033: damaged, // the definition's file
  1034: crashed, // index file
  1035: crashed, // index file of an older version
  1040: unreachable, // too many connections
  1044: privilege, // no right on the database
  1045: wrongLogin,
  1049: {
    kind: 'source-privilege',
    hint: () => 'There is no such database: check SOURCE_DB_NAME, also its upper and lower case.',
  },
  1053: unreachable, // shutdown in progress
  1054: redefined, // no such column
  1064: statement,
  1077: unreachable, // normal shutdown
  1079: unreachable, // shutdown complete
  1129: hostBlocked,
  1130: {
    kind: 'source-login',
    hint: (role) =>
      `No account may log in from this machine's address: create one for it and for ${userSetting[role]}.`,
  },
  1142: privilege,
  1143: privilege,
  1146: redefined, // no such table
  1152: unreachable, // aborted connection
  1158: unreachable, // network read
  1159: unreachable, // network read timed out
  1160: unreachable, // network write
  1161: unreachable, // network write timed out
  1168: redefined, // a table below a MERGE table
  1176: redefined, // no such key
  1193: statement, // unknown variable
  1194: crashed,
  1195: crashed, // and the last repair failed
  1203: unreachable, // max_user_connections
  1205: busy, // lock wait
  1213: busy, // deadlock
  1226: unreachable, // a per-account limit
  1227: privilege,
  1236: dumpRefused, // purged, beyond the end, damaged; MySQL: also that our server id is taken
  1251: authPlugin,
  1275: authPlugin,
  1317: busy, // interrupted
  1370: privilege,
  1373: { kind: 'position-lost' }, // not in the index of binlogs
  1381: { kind: 'source-settings' }, // no binary logging
  1412: busy, // definition changed since the read view
  1524: authPlugin,
  1698: wrongLogin,
  1712: damaged, // an index of InnoDB
  1812: damaged, // no tablespace
  1814: damaged, // tablespace discarded
  1820: expired,
  1862: expired,
  1877: damaged, // InnoDB
  1927: unreachable, // MariaDB: connection killed
  1932: damaged, // MariaDB: the engine does not have it
  1969: busy, // MariaDB: max_statement_time
  3024: busy, // MySQL: max_execution_time
  3118: expired, // MySQL: account locked
  3159: tlsRequired, // MySQL: require_secure_transport
  4052: { kind: 'server-id-taken' }, // MariaDB: a replica with our server id has connected
  4151: expired, // MariaDB: account locked
};

/** What mysql2 and Node raise before or beside the server. */
const byCode: Readonly<Record<string, Meaning>> = {
  AUTH_SWITCH_PLUGIN_ERROR: authPlugin,
  HANDSHAKE_NO_SSL_SUPPORT: noTls,
  HANDSHAKE_SSL_ERROR: tlsFailed,
  MYSQL_CLEAR_PASSWORD_NOT_ENABLED: authPlugin,
};

/** What mysql2 or zongji raised, by its numbers alone: their texts may carry statements and values. */
export function fromMysql(error: unknown, { what, role }: SourceErrorContext): TidegateError {
  if (error instanceof TidegateError) return error;
  const { errno, code, syscall, library, fatal } = (error ?? {}) as Record<string, unknown>;
  const number = typeof errno === 'number' && errno > 0 ? errno : null;
  const name = typeof code === 'string' && !isNamedForMysqlOnly(number) ? code : null;
  // What was asked of a connection that had broken before is refused by mysql2 with no code at all.
  const isClosed = fatal === true && number === null && name === null;
  const meaning = isClosed
    ? unreachable
    : (name === 'HANDSHAKE_SSL_ERROR' && brokenHandshake(syscall, library)) || meaningOf(number, name, syscall);
  const failure = isClosed ? 'the connection was closed' : inWords(name, number);
  return new TidegateError(meaning.kind, `source (${role}): ${what} failed: ${failure}`, {
    cause: error,
    ...(meaning.hint === undefined ? {} : { hint: meaning.hint(role) }),
  });
}

/**
 * mysql2 puts its TLS code on whatever ends the handshake. Node marks a socket that broke with the system call, and what OpenSSL
 * gave up on with its library; what is left is a certificate.
 */
function brokenHandshake(syscall: unknown, library: unknown): Meaning | null {
  if (typeof syscall === 'string') return unreachable;
  return typeof library === 'string' ? tlsTooOld : null;
}

/**
 * Whether a statement failed because a text in it has characters that the column it is compared with cannot have: the server finds no
 * collation for both, or, MySQL since 8.0, cannot convert it (ER_CANNOT_CONVERT_STRING).
 */
export function isForeignText(error: unknown): boolean {
  const { errno } = ((error instanceof TidegateError ? error.cause : null) ?? {}) as Record<string, unknown>;
  return typeof errno === 'number' && [1267, 1270, 1271, 3854].includes(errno);
}

/** MariaDB gives these numbers meanings of its own, while mysql2 names every number as MySQL does. */
export function isNamedForMysqlOnly(errno: unknown): boolean {
  return typeof errno === 'number' && errno >= 4000;
}

function inWords(name: string | null, errno: number | null): string {
  if (errno === null) return name ?? 'no code';
  return name === null ? `errno ${errno}` : `${name} (errno ${errno})`;
}

function meaningOf(errno: number | null, code: string | null, syscall: unknown): Meaning {
  const known = (errno === null ? undefined : byErrno[errno]) ?? (code === null ? undefined : byCode[code]);
  if (known !== undefined) return known;
  if (code !== null && isCertificateCode(code)) return tlsFailed;
  if (isNetworkError({ code, syscall })) return unreachable;
  return { kind: 'internal' };
}
