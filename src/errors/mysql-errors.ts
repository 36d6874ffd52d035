import type { ErrorKind } from './error-kinds.ts';
import { TidegateError } from './tidegate-error.ts';
import { certificateHint, isCertificateCode, isNetworkError, unreachableCause } from './transport-errors.ts';

type Role = 'reader' | 'replicator';

export interface SourceErrorContext {
  /** The attempted action in words: 'connect', 'query', 'read table t'. */
  readonly what: string;
  readonly role: Role;
  /** The user that logs in, and the table that is read: quoted, for statements in the hint. */
  readonly user?: string;
  readonly table?: string;
  /** Why a certificate was not accepted, where mysql2 hides the code. */
  readonly certificate?: string | undefined;
}

/** The kind of an error code. `hint` replaces the hint of the kind where the code allows a better one. */
interface Meaning {
  readonly kind: ErrorKind;
  readonly hint?: (context: SourceErrorContext) => string;
}

const userSetting = { reader: 'SOURCE_DB_READONLY_USER', replicator: 'SOURCE_DB_REPLICATION_USER' } as const;
const passwordSetting = {
  reader: 'SOURCE_DB_READONLY_PASSWORD',
  replicator: 'SOURCE_DB_REPLICATION_PASSWORD',
} as const;

/** The statement for this account. Nothing tells a client which host part the account has. Placeholders without quotes are syntax errors. */
function alterUser({ role, user }: SourceErrorContext, change: string): string {
  const password = `<${passwordSetting[role]}>`;
  return `alter user ${user ?? `<${userSetting[role]}>`}@<host> ${change.replace('PASSWORD', password)};`;
}

function placeholders({ role }: SourceErrorContext): string {
  return `<host> is the part after @, which select user, host from mysql.user; lists; it and <${passwordSetting[role]}>, the password, stand in quotes.`;
}

/** What an administrator of the source does about a damaged table, which a statement names by its quoted name. */
export function repairInWords(table = '<table>'): string {
  return `An administrator can examine it there with check table ${table}; and repair it with repair table ${table};`;
}

const unreachable: Meaning = { kind: 'source-unreachable' };
const busy: Meaning = { kind: 'source-busy' };
const privilege: Meaning = { kind: 'source-privilege' };
const statement: Meaning = { kind: 'source-statement' };
const redefined: Meaning = { kind: 'source-table', hint: () => 'The definition changed while the table was read.' };
const crashed: Meaning = {
  kind: 'source-table',
  hint: ({ table }) => `The table is damaged at the source. ${repairInWords(table)}`,
};
/** An error of the server that is about the table that was read, whatever it means. */
const unreadable: Meaning = {
  kind: 'source-table',
  hint: ({ table }) =>
    `The source cannot read the table; the number is in the manual of the server. If it is damaged: ${repairInWords(table)}`,
};
const damaged: Meaning = {
  kind: 'source-table',
  hint: () => 'The table is damaged at the source: an administrator must restore it there.',
};

const wrongLogin: Meaning = {
  kind: 'source-login',
  hint: ({ role }) =>
    `Check ${userSetting[role]} and ${passwordSetting[role]}, and that the account exists for this machine's address (the part after @).`,
};
/** `identified by` alone would keep the method of the account on MySQL. */
const authPlugin: Meaning = {
  kind: 'source-login',
  hint: (context) =>
    `The account of ${userSetting[context.role]} uses a login method that Tidegate does not support. An administrator can change that. MariaDB: ${alterUser(context, 'identified by PASSWORD')} MySQL: ${alterUser(context, 'identified with caching_sha2_password by PASSWORD')} ${placeholders(context)}`,
};
const hostBlocked: Meaning = {
  kind: 'source-login',
  hint: () =>
    'The server blocks this machine after too many failed connections (max_connect_errors). An administrator can end that, on MySQL 8 and later with truncate table performance_schema.host_cache; elsewhere with flush hosts; Then try again.',
};
/** Only a new password ends this: `password expire never` alone does not. */
const expired: Meaning = {
  kind: 'source-login',
  hint: (context) =>
    `The password of ${userSetting[context.role]} has expired. An administrator must set it anew: ${alterUser(context, 'identified by PASSWORD password expire never')} ${placeholders(context)}`,
};
/** By an administrator, or by MySQL after failed logins. */
const locked: Meaning = {
  kind: 'source-login',
  hint: (context) =>
    `The account of ${userSetting[context.role]} is locked. If that is not meant, an administrator must unlock it: ${alterUser(context, 'account unlock')} <host> is the part after @ in quotes, which select user, host from mysql.user; lists.`,
};
const passwordErrors: Meaning = {
  kind: 'source-login',
  hint: ({ role }) =>
    `The server blocks the account of ${userSetting[role]} after too many wrong passwords (max_password_errors). Check ${passwordSetting[role]}, and whether something else logs in with this account. Then an administrator can end that: flush privileges;`,
};
const tlsRequired: Meaning = {
  kind: 'source-tls',
  hint: () =>
    'This server or account accepts encrypted connections only: set SOURCE_DB_TLS to verify-full or verify-ca.',
};
const noTls: Meaning = {
  kind: 'source-tls',
  hint: () =>
    'The server offers no TLS. Turn it on there (ssl_cert and ssl_key). If the connection is safe by other means, such as a VPN, set SOURCE_DB_TLS=disable instead.',
};
/** One number covers several failures that only the text distinguishes. `tidegate check` looks up whether the position exists. */
const dumpRefused: Meaning = {
  kind: 'binlog-unreadable',
  hint: () =>
    'The source stopped sending its binlog. Run `tidegate check`: it reports whether the position is still there. If it is, another replica or tool most likely announces the same SOURCE_SERVER_ID: choose a number that no other server or tool uses and run again. Nothing is lost.',
};
const tlsTooOld: Meaning = {
  kind: 'source-tls',
  hint: () =>
    'Tidegate and the server have no TLS version in common. Tidegate requires TLS 1.2; MySQL 5.6 and servers of its age support TLS 1.0 at most, which protects nothing any more. Update the server, or use a VPN or an SSH tunnel and set SOURCE_DB_TLS=disable.',
};
const accountLimit: Meaning = {
  kind: 'source-unreachable',
  hint: ({ role }) =>
    `The account of ${userSetting[role]} has reached a limit of the source: max_user_connections, or one of its own (show create user). An administrator can raise it. Tidegate tries again.`,
};

/**
 * Server errors by number. MySQL and MariaDB share the numbers below 1900 and differ above
 * (https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html,
 * https://mariadb.com/kb/en/mariadb-error-code-reference/).
 */
const byErrno: Readonly<Record<number, Meaning>> = {
  // MyISAM and Aria report some failures with the engine's own numbers (include/my_base.h).
  126: crashed, // index file
  127: crashed, // record file
  144: crashed, // and the last repair failed
  145: crashed, // on usage
  176: crashed, // a page's checksum
  1016: damaged, // its file cannot be opened
  1017: damaged, // its file is missing
  1030: unreadable, // any error of the engine
  1032: crashed, // an index leads to no row
  1033: damaged, // the definition's file
  1034: crashed, // index file
  1035: crashed, // index file of an older version
  1040: {
    kind: 'source-unreachable',
    hint: () =>
      'The source has no connection left: other clients hold all of max_connections. Tidegate tries again. If this stays, raise it there: set global max_connections = …;',
  },
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
    hint: ({ role }) =>
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
  1104: {
    kind: 'source-settings',
    hint: () =>
      'The source limits how much a select may read (max_join_size). Raise it there: set global max_join_size = default;',
  },
  1184: {
    kind: 'source-settings',
    hint: ({ role }) =>
      `The source ran its init_connect for the account of ${userSetting[role]}, which failed, and hung up. Correct it there, or turn it off: set global init_connect = '';`,
  },
  1193: statement, // unknown variable
  1194: crashed,
  1195: crashed, // and the last repair failed
  1203: accountLimit, // max_user_connections
  1205: busy, // lock wait
  1213: busy, // deadlock
  1226: accountLimit, // max_queries_per_hour and its like
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
  1698: authPlugin, // of the system's user instead of a password
  1712: damaged, // an index of InnoDB
  1812: damaged, // no tablespace
  1814: damaged, // tablespace discarded
  1820: expired,
  1862: expired,
  1877: damaged, // InnoDB
  1927: unreachable, // MariaDB: connection killed
  1932: damaged, // MariaDB: the engine lacks the table
  1969: busy, // MariaDB: max_statement_time
  3024: busy, // MySQL: max_execution_time
  3118: locked, // MySQL
  3159: tlsRequired, // MySQL: require_secure_transport
  3955: locked, // MySQL: by failed_login_attempts
  4052: { kind: 'server-id-taken' }, // MariaDB: a replica with our server id has connected
  4150: passwordErrors, // MariaDB
  4151: locked, // MariaDB
};

/** Codes that mysql2 and Node raise themselves, without an error of the server. */
const byCode: Readonly<Record<string, Meaning>> = {
  AUTH_SWITCH_PLUGIN_ERROR: authPlugin,
  HANDSHAKE_NO_SSL_SUPPORT: noTls,
  MYSQL_CLEAR_PASSWORD_NOT_ENABLED: authPlugin,
};

/** Classifies an error of mysql2 or zongji by its numbers and codes alone: the texts may hold statements and values. */
export function fromMysql(error: unknown, context: SourceErrorContext): TidegateError {
  if (error instanceof TidegateError) return error;
  const { what, role, certificate } = context;
  const { errno, code, syscall, library, fatal } = (error ?? {}) as Record<string, unknown>;
  const number = typeof errno === 'number' && errno > 0 ? errno : null;
  const name = typeof code === 'string' && !isNamedForMysqlOnly(number) ? code : null;
  // On a connection that broke earlier, mysql2 refuses every query without any code. Where a packet contradicts itself, mysql2 fails as
  // Node's buffers do, and ends the connection.
  const isClosed = fatal === true && number === null && (name === null || unreadPacket.has(name));
  const meaning = isClosed
    ? unreachable
    : (name === 'HANDSHAKE_SSL_ERROR' && brokenHandshake(syscall, library)) ||
      meaningOf(number, certificate ?? name, syscall, context);
  const failure = isClosed ? 'the connection was closed' : inWords(certificate ?? name, number);
  return new TidegateError(meaning.kind, `source (${role}): ${what} failed: ${failure}`, {
    cause: error,
    ...(meaning.hint === undefined ? {} : { hint: meaning.hint(context) }),
  });
}

/** What Node's buffers raise when a packet states lengths that it does not have. */
const unreadPacket: ReadonlySet<string> = new Set([
  'ERR_OUT_OF_RANGE',
  'ERR_BUFFER_OUT_OF_BOUNDS',
  'ERR_INVALID_ARG_TYPE',
]);

/**
 * mysql2 puts its TLS code on every failure that ends the handshake. Node adds the system call to the error of a broken socket,
 * and the library to a failure of OpenSSL. What remains is a certificate.
 */
function brokenHandshake(syscall: unknown, library: unknown): Meaning | null {
  if (typeof syscall === 'string') return unreachable;
  return typeof library === 'string' ? tlsTooOld : null;
}

/**
 * Whether a statement failed because one of its texts has characters that the compared column cannot hold. The server finds no
 * collation for both texts, or MySQL since 8.0 cannot convert the text (ER_CANNOT_CONVERT_STRING).
 */
export function isForeignText(error: unknown): boolean {
  const { errno } = ((error instanceof TidegateError ? error.cause : null) ?? {}) as Record<string, unknown>;
  return typeof errno === 'number' && [1267, 1270, 1271, 3854].includes(errno);
}

/**
 * Whether mysql2 may name a number wrongly: MariaDB gives numbers from 4000 on its own meanings, and mysql2 names every number as
 * MySQL does.
 */
export function isNamedForMysqlOnly(errno: unknown): boolean {
  return typeof errno === 'number' && errno >= 4000;
}

function inWords(name: string | null, errno: number | null): string {
  if (errno === null) {
    const cause = unreachableCause(name);
    return cause === undefined ? (name ?? 'no code') : `${cause.words} (${name})`;
  }
  return name === null ? `errno ${errno}` : `${name} (errno ${errno})`;
}

function meaningOf(
  errno: number | null,
  code: string | null,
  syscall: unknown,
  { table }: SourceErrorContext,
): Meaning {
  const known = (errno === null ? undefined : byErrno[errno]) ?? (code === null ? undefined : byCode[code]);
  if (known !== undefined) return known;
  if (code === 'HANDSHAKE_SSL_ERROR' || (code !== null && isCertificateCode(code)))
    return { kind: 'source-tls', hint: () => certificateHint('SOURCE', code) };
  if (isNetworkError({ code, syscall })) {
    const cause = unreachableCause(code);
    return cause === undefined ? unreachable : { ...unreachable, hint: () => cause.hint('SOURCE') };
  }
  // One table that cannot be read must not end the service.
  return errno !== null && table !== undefined ? unreadable : { kind: 'internal' };
}
