import type { SourceConfig } from '../../config/config.ts';
import { databaseScope } from './check-grants.ts';
import { quoteName } from '../identifiers.ts';
import { type ServerVersion, isAtLeast } from '../server-version.ts';

/**
 * The statements that create both source accounts, with only the privileges that Tidegate needs and … for the passwords. `fromHost` is the
 * host part of the accounts. MySQL and MariaDB treat it as a pattern.
 */
export function sourceAccountSql(source: SourceConfig, server: ServerVersion, fromHost: string): string[] {
  const account = (user: string) => `${quoteName(user)}@${quoteName(fromHost)}`;
  const [reader, replicator] = [account(source.reader.user), account(source.replicator.user)];
  const tls = source.tls.mode === 'disable' ? '' : ' require ssl';
  // MySQL accepts REQUIRE in CREATE USER only since 5.7.6, and in GRANT until then.
  const [ofUser, ofGrant] = isAtLeast(server, { mariadb: [10, 2], mysql: [5, 7] }) ? [tls, ''] : ['', tls];
  const seesPositions = isAtLeast(server, { mariadb: [10, 5], mysql: null }) ? 'binlog monitor' : 'replication client';
  return [
    `create user ${reader} identified by '…'${ofUser};`,
    `grant select on ${databaseScope(source.database)} to ${reader}${ofGrant};`,
    `create user ${replicator} identified by '…'${ofUser};`,
    `grant replication slave, ${seesPositions} on *.* to ${replicator}${ofGrant};`,
  ];
}
