import type { Config, SourceConfig } from '../config/config.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { sourceAccountSql } from '../mysql/grants/account-sql.ts';
import { readGreeting } from '../mysql/wire/server-greeting.ts';
import { type ServerVersion, parseVersion } from '../mysql/server-version.ts';
import { targetRoleSql } from '../postgres/check/role-sql.ts';

export interface GrantsOptions {
  /** Null: both. */
  readonly side: 'source' | 'target' | null;
  /** Null: the source is asked. */
  readonly server: ServerVersion | null;
  /** Host part of the source accounts; null: this machine's address as the source is reached from it. */
  readonly fromHost: string | null;
}

/** Prints the SQL that makes the accounts, for an administrator to run. Passwords are left to fill in. */
export async function grants(config: Config, options: GrantsOptions): Promise<number> {
  const lines: string[] = [];
  if (options.side !== 'target') lines.push(...(await sourceLines(config.source, options)));
  if (options.side === null) lines.push('');
  if (options.side !== 'source')
    lines.push(
      '-- At the target, PostgreSQL, as an administrator. Put a password in place of …',
      ...targetRoleSql(config.target),
    );
  process.stdout.write(`${lines.join('\n')}\n`);
  return 0;
}

async function sourceLines(source: SourceConfig, options: GrantsOptions): Promise<string[]> {
  const greeting = options.server === null ? await readGreeting(source.host, source.port) : null;
  const server = options.server ?? (greeting && parseVersion(greeting.flavor, greeting.version));
  if (server === null)
    throw new TidegateError('config', 'the source does not tell its version', {
      hint: 'Give it with --flavor and --server-version.',
    });
  const host = options.fromHost ?? greeting?.localAddress ?? '%';
  const from = host === '%' ? 'anywhere' : `${host}, as this machine reaches it`;
  return [
    `-- At the source, ${server.flavor === 'mariadb' ? 'MariaDB' : 'MySQL'} ${server.major}.${server.minor}, as an administrator. Put a password in place of each …`,
    ...(options.fromHost === null ? [`-- For logins from ${from}; --from-host names another place.`] : []),
    ...sourceAccountSql(source, server, host),
  ];
}
