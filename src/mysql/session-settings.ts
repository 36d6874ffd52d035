import type { SourceRole } from './wire/guarded-connection.ts';
import { type ServerVersion, isAtLeast } from './server-version.ts';

/** No statement of ours runs longer, in seconds. A chunk aims at a 200th of it; the catalog of a cold server takes longest. */
const longestStatement = 60;
/** No statement of ours waits longer for a lock, in seconds, so that we never stand in the queue before somebody's ALTER. */
const longestLockWait = 2;
/**
 * How long the server waits for us to take what it sends, in seconds. A reader takes a chunk at once, and until it has, MyISAM
 * holds writers up: if this machine freezes, not for long. A dump is left waiting whenever PostgreSQL is slower, and blocks nobody.
 */
const longestSend: Readonly<Record<SourceRole, number>> = { reader: 5, replicator: 600 };
/** A read view that is left open keeps the source from cleaning up; in seconds. */
const longestIdleTransaction = 60;

/** No limit, which is also what a server is set to that nobody has set otherwise. */
const mostRows = '18446744073709551615';

/**
 * What makes a session read-only and short of patience. Text is utf8mb4 whatever the server makes of our greeting
 * (skip_character_set_client_handshake), times are UTC. No view of the rows outlives the statement that needs it (autocommit,
 * completion_type), and no result is cut short (sql_select_limit), whatever the server is set to or says to each session (init_connect).
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
  if (server !== null && isAtLeast(server, { mariadb: [10, 3], mysql: null }))
    settings.push(`max_statement_time = ${longestStatement}`, `idle_transaction_timeout = ${longestIdleTransaction}`);
  // Of MySQL 5.7, since 5.7.8.
  if (server !== null && isAtLeast(server, { mariadb: null, mysql: [5, 7] }))
    settings.push(`max_execution_time = ${longestStatement * 1000}`);
  return [
    'set names utf8mb4 collate utf8mb4_general_ci',
    'set session transaction isolation level repeatable read, read only',
    `set session ${settings.join(', ')}`,
  ];
}

/** A server without InnoDB does not know it. */
export const innodbSetting = `set session innodb_lock_wait_timeout = ${longestLockWait}`;
