import type { ErrorKind } from './kinds.ts';
import { TidegateError } from './tidegate-error.ts';

export interface SourceErrorContext {
  /** What was tried, in words: 'connect', 'query', 'read table t'. */
  readonly what: string;
  readonly role: 'reader' | 'replicator';
}

/** Server errors by number (https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html). */
const kindByErrno: Readonly<Record<number, ErrorKind>> = {
  1040: 'source-unreachable', // too many connections
  1044: 'source-privilege',
  1045: 'source-login',
  1049: 'source-privilege', // unknown database
  1053: 'source-unreachable', // shutdown in progress
  1054: 'source-statement',
  1064: 'source-statement',
  1129: 'source-login', // host blocked
  1130: 'source-login', // host not allowed
  1142: 'source-privilege',
  1143: 'source-privilege',
  1146: 'source-statement',
  1193: 'source-statement', // unknown variable
  1205: 'source-busy',
  1227: 'source-privilege',
  1236: 'binlog-unreadable',
  1317: 'source-busy',
  1698: 'source-login',
  1927: 'source-unreachable', // connection killed
  1969: 'source-busy', // MariaDB max_statement_time
  3024: 'source-busy', // MySQL max_execution_time
};

const unreachableCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EPIPE',
  'PROTOCOL_CONNECTION_LOST',
  'ERR_STREAM_WRITE_AFTER_END',
  'ERR_STREAM_DESTROYED',
]);

/** What mysql2 or zongji raised, by its numbers alone: their texts may carry statements and values. */
export function fromMysql(error: unknown, { what, role }: SourceErrorContext): TidegateError {
  if (error instanceof TidegateError) return error;
  const { errno, code } = (error ?? {}) as { errno?: number; code?: string };
  const kind: ErrorKind =
    (typeof errno === 'number' ? kindByErrno[errno] : undefined) ??
    (unreachableCodes.has(code ?? '') ? 'source-unreachable' : 'internal');
  return new TidegateError(
    kind,
    `source (${role}): ${what} failed: ${code ?? 'no code'}${errno !== undefined && errno > 0 ? ` (errno ${errno})` : ''}`,
    { cause: error },
  );
}
