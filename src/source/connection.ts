import mysql from 'mysql2';
import type { SourceConfig } from '../config/config.ts';
import { fromMysql } from '../errors/mysql-errors.ts';
import { TidegateError } from '../errors/tidegate-error.ts';

/**
 * Who we are at the source. `reader` may SELECT from the replicated database; `replicator` may read the binlog and the
 * server's positions. There is no third role: a writable source connection cannot be asked for.
 */
export type SourceRole = 'reader' | 'replicator';

/** A result row as the server printed it: every value is its text, SQL NULL is null. */
export type TextRow = Record<string, string | null>;

const connectTimeoutMs = 10_000;

/** mysql2 settings of one role; also what the binlog reader connects with. */
export function sourceConnectionOptions(source: SourceConfig, role: SourceRole): mysql.ConnectionOptions {
  const { user, password } = source[role];
  const { mode, ca } = source.tls;
  return {
    host: source.host,
    port: source.port,
    user,
    password,
    // The replicator has no right on any database, so it must not name one.
    ...(role === 'reader' ? { database: source.database } : {}),
    charset: 'utf8mb4_general_ci',
    connectTimeout: connectTimeoutMs,
    enableKeepAlive: true,
    keepAliveInitialDelay: 10_000,
    // Never on: one call is one statement.
    multipleStatements: false,
    // chunk-reader.ts writes COM_QUERY packets itself, in the form all servers know: without query attributes.
    flags: ['-CLIENT_QUERY_ATTRIBUTES'],
    ...(mode === 'disable'
      ? {}
      : {
          ssl: {
            ...(ca === undefined ? {} : { ca }),
            rejectUnauthorized: true,
            verifyIdentity: mode === 'verify-full',
          },
        }),
  };
}

/**
 * A read-only session at the source. Times are UTC, text is utf8mb4, and no statement waits for a metadata or row lock
 * longer than two seconds, so that we never stand in the queue before somebody's ALTER.
 */
export class SourceConnection {
  readonly role: SourceRole;
  readonly #connection: mysql.Connection;

  private constructor(role: SourceRole, connection: mysql.Connection) {
    this.role = role;
    this.#connection = connection;
  }

  /** Raises TidegateError source-unreachable, source-tls, source-login or source-privilege. */
  static async open(source: SourceConfig, role: SourceRole): Promise<SourceConnection> {
    const raw = mysql.createConnection(sourceConnectionOptions(source, role));
    const connection = new SourceConnection(role, raw);
    await new Promise<void>((resolve, reject) => {
      // Also keeps a connection that breaks while idle from crashing the process; the next query reports it.
      raw.on('error', reject);
      raw.connect((error) => (error ? reject(error) : resolve()));
    }).catch((error: unknown) => {
      raw.destroy();
      throw fromMysql(error, { what: 'connect', role });
    });
    try {
      await connection.#prepareSession();
    } catch (error) {
      raw.destroy();
      throw error;
    }
    return connection;
  }

  async #prepareSession(): Promise<void> {
    const settings = `time_zone = '+00:00', sql_mode = '', lock_wait_timeout = 2, wait_timeout = 28800`;
    try {
      await this.query(`set session transaction_read_only = 1, ${settings}`);
    } catch (error) {
      // MySQL 5.6 and MariaDB before 11.1 know that variable by its old name only.
      if (!(error instanceof TidegateError) || error.kind !== 'source-statement') throw error;
      await this.query(`set session tx_read_only = 1, ${settings}`);
    }
  }

  /** The raw connection, for commands that read row packets as bytes. */
  get raw(): mysql.Connection {
    return this.#connection;
  }

  /** Runs one statement and returns every value as the server's text. */
  async query(sql: string): Promise<TextRow[]> {
    return await new Promise<TextRow[]>((resolve, reject) => {
      this.#connection.query({ sql, typeCast: (field) => field.string('utf8') }, (error, rows) => {
        if (error) reject(fromMysql(error, { what: 'query', role: this.role }));
        else resolve(Array.isArray(rows) ? (rows as TextRow[]) : []);
      });
    });
  }

  /** Says goodbye and returns; a server that does not answer is hung up on. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 1_000);
      this.#connection.end(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.#connection.destroy();
  }

  /** Hangs up at once; the server ends whatever runs. */
  destroy(): void {
    this.#connection.destroy();
  }
}
