import type { SourceConfig } from '../../config/config.ts';
import { quoteName } from '../identifiers.ts';
import { type ServerVersion, isAtLeast } from '../server-version.ts';

type Role = 'reader' | 'replicator';

/** What decides how the SQL of an account looks. */
export interface AccountContext {
  readonly source: Pick<SourceConfig, 'database' | 'tls'>;
  readonly server: ServerVersion;
}

const accountSettings = {
  reader: { user: 'SOURCE_DB_READONLY_USER', password: 'SOURCE_DB_READONLY_PASSWORD' },
  replicator: { user: 'SOURCE_DB_REPLICATION_USER', password: 'SOURCE_DB_REPLICATION_PASSWORD' },
} as const;

/** Names of up to 16 characters: MySQL 5.6 takes no longer ones. */
const ownNames = { reader: 'tidegate_reader', replicator: 'tidegate_binlog' } as const;

/**
 * The statements that create both source accounts, with only the privileges that Tidegate needs and a placeholder for each password.
 * `fromHost` is the host part of the accounts. MySQL and MariaDB treat it as a pattern.
 */
export function sourceAccountSql(source: SourceConfig, server: ServerVersion, fromHost: string): string[] {
  const of = (role: Role) =>
    accountSql(role, `${quoteName(source[role].user)}@${quoteName(fromHost)}`, { source, server });
  return [...guardSql(server), ...of('reader'), ...of('replicator')];
}

/**
 * What to do about an account that has more rights than its role. Its rights may be those of an application or of a person, so no statement
 * takes them away: Tidegate gets an account of its own, for logins from the same host.
 */
export function ownAccountRemedy(role: Role, account: string, context: AccountContext): string {
  const { user, password } = accountSettings[role];
  const [, holder = '', host = quoteName('%')] = /^(.*)@(.*)$/s.exec(account) ?? [];
  const name = holder.includes(ownNames[role]) ? `${ownNames[role]}2` : ownNames[role];
  const own = `${quoteName(name)}@${host}`;
  const statements = [...guardSql(context.server), ...accountSql(role, own, context)];
  return `leave ${account} as it is and give Tidegate an account of its own: ${statements.join(' ')} Then set ${user}=${name} and its ${password}.`;
}

/**
 * The placeholder is not quoted, so a statement that still has it is a syntax error: no account gets a password that everybody knows.
 * The person who replaces it writes the password as a literal.
 */
function passwordPlaceholder(setting: string): string {
  return `<${setting}>`;
}

/** In a grant, a backslash before a wildcard of a database name makes it an ordinary character. */
export function databaseScope(database: string): string {
  return `${quoteName(database.replaceAll(/[_%]/g, String.raw`\$&`))}.*`;
}

/** Older servers would create an account without a password by a GRANT, if the CREATE USER before it failed. */
function guardSql(server: ServerVersion): string[] {
  return isAtLeast(server, { mariadb: null, mysql: [8, 0] }) ? [] : ["set session sql_mode = 'no_auto_create_user';"];
}

function accountSql(role: Role, account: string, { source, server }: AccountContext): string[] {
  const tls = source.tls.mode === 'disable' ? '' : ' require ssl';
  // MySQL accepts REQUIRE in CREATE USER only since 5.7.6, and in GRANT until then.
  const [ofUser, ofGrant] = isAtLeast(server, { mariadb: [10, 2], mysql: [5, 7] }) ? [tls, ''] : ['', tls];
  const seesPositions = isAtLeast(server, { mariadb: [10, 5], mysql: null }) ? 'binlog monitor' : 'replication client';
  const rights =
    role === 'reader' ? `select on ${databaseScope(source.database)}` : `replication slave, ${seesPositions} on *.*`;
  return [
    `create user ${account} identified by ${passwordPlaceholder(accountSettings[role].password)}${ofUser};`,
    `grant ${rights} to ${account}${ofGrant};`,
  ];
}
