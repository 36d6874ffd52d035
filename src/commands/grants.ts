import { print } from './print.ts';
import type { Config, SourceConfig } from '../config/config.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { sourceAccountSql } from '../mysql/grants/account-sql.ts';
import { readGreeting } from '../mysql/wire/server-greeting.ts';
import { type ServerVersion, parseVersion } from '../mysql/server-version.ts';
import { targetRoleSql } from '../postgres/check/role-sql.ts';

export interface GrantsOptions {
  /** Null: both. */
  readonly side: 'source' | 'target' | null;
  /** Null: ask the source. */
  readonly server: ServerVersion | null;
  /** Host part of the source accounts; null: this machine's address on its connection to the source. */
  readonly fromHost: string | null;
}

/** Prints the SQL that creates the accounts, for an administrator to run. Each password is a placeholder, with which the SQL fails. */
export async function grants(config: Config, options: GrantsOptions): Promise<number> {
  const lines: string[] = [];
  if (options.side !== 'target') lines.push(...(await sourceLines(config.source, options)));
  if (options.side === null) lines.push('');
  if (options.side !== 'source')
    lines.push(
      '-- At the target, PostgreSQL, as an administrator. Replace <…> with the password in single quotes.',
      ...targetRoleSql(config.target),
    );
  print(...lines);
  return 0;
}

async function sourceLines(source: SourceConfig, options: GrantsOptions): Promise<string[]> {
  const greeting = options.server === null ? await readGreeting(source.host, source.port) : null;
  const server = options.server ?? (greeting && parseVersion(greeting.flavor, greeting.version));
  if (server === null)
    throw new TidegateError('config', 'the source does not report its version', {
      hint: 'Give it with --flavor and --server-version.',
    });
  const host = options.fromHost ?? greeting?.localAddress ?? '%';
  const from = host === '%' ? 'anywhere' : `${host}, as this machine reaches it`;
  return [
    `-- At the source, ${server.flavor === 'mariadb' ? 'MariaDB' : 'MySQL'} ${server.major}.${server.minor}, as an administrator. Replace each <…> with the password in single quotes.`,
    ...(options.fromHost === null ? [`-- For logins from ${from}. Use --from-host for another host.`] : []),
    ...sourceAccountSql(source, server, host),
  ];
}
