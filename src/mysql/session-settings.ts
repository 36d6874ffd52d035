import type { SourceRole } from './wire/guarded-connection.ts';
import { type ServerVersion, isAtLeast } from './server-version.ts';

const limitOfMariadb = { mariadb: [10, 3], mysql: null } as const;
const limitOfMysql = { mariadb: null, mysql: [5, 7] } as const;

/**
 * The longest that one of our statements may run, in seconds. A chunk aims at a 200th of it. The catalog of a cold server takes longest.
 */
const longestStatement = 60;
/** The longest wait of one of our statements for a lock, in seconds. Short, so that we never queue ahead of an ALTER of somebody else. */
const longestLockWait = 2;
/**
 * How long the server waits for us to receive what it sends, in seconds. MyISAM blocks writers until the reader has received a chunk. A
 * reader receives a chunk at once, so 5 s keeps that short if this machine freezes. A dump waits whenever PostgreSQL is slower, and blocks
 * nobody.
 */
const longestSend: Readonly<Record<SourceRole, number>> = { reader: 5, replicator: 600 };
/** The longest idle time in a transaction, in seconds. An open read view keeps the source from purging old row versions. */
const longestIdleTransaction = 60;

/** No limit. This is also the default of the servers. */
const mostRows = '18446744073709551615';

/**
 * The statements that make a session read-only and short of patience.
 *
 * - Text is utf8mb4, even if the server ignores our greeting (skip_character_set_client_handshake). Times are UTC.
 * - No read view outlives the statement that needs it (autocommit, completion_type).
 * - No result is cut short (sql_select_limit).
 *
 * These statements override the server's global settings and what it sets for each session (init_connect).
 */
export function sessionSettings(server: ServerVersion | null, role: SourceRole): string[] {
  const settings = [
    "time_zone = '+00:00'",
    "sql_mode = ''",
    'autocommit = 1',
    'completion_type = 0',
    `sql_select_limit = ${mostRows}`,
    `lock_wait_timeout = ${longestLockWait}`,
    `net_write_timeout = ${longestSend[role]}`,
    'wait_timeout = 28800',
  ];
  if (server !== null && isAtLeast(server, limitOfMariadb))
    settings.push(`max_statement_time = ${longestStatement}`, `idle_transaction_timeout = ${longestIdleTransaction}`);
  // MySQL 5.7 has it since 5.7.8.
  if (server !== null && isAtLeast(server, limitOfMysql))
    settings.push(`max_execution_time = ${longestStatement * 1000}`);
  return [
    'set names utf8mb4 collate utf8mb4_general_ci',
    'set session transaction isolation level repeatable read, read only',
    `set session ${settings.join(', ')}`,
  ];
}

/** A server without InnoDB does not know this variable and refuses the statement. */
export const innodbSetting = `set session innodb_lock_wait_timeout = ${longestLockWait}`;

/** Whether the server ends a SELECT of ours by itself. MySQL before 5.7 has no such limit. */
export function limitsStatements(server: ServerVersion | null): boolean {
  return server !== null && (isAtLeast(server, limitOfMariadb) || isAtLeast(server, limitOfMysql));
}
