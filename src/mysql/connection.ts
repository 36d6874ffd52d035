import type mysql from 'mysql2';
import type { SourceConfig } from '../config/config.ts';
import { fromMysql } from '../errors/mysql-errors.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { type SourceRole, openGuarded } from './wire/guarded-connection.ts';
import { type ServerVersion, flavorOf, parseVersion } from './server-version.ts';
import { socketOf } from './wire/socket.ts';
import { innodbSetting, sessionSettings } from './session-settings.ts';

/** A result row as the server printed it: each value is its text, and SQL NULL is null. */
export type TextRow = Record<string, string | null>;

/** A read-only session at the source. It can send only statements that the statement guard allows. */
export class SourceConnection {
  readonly role: SourceRole;
  readonly #connection: mysql.Connection;
  #version: ServerVersion | null = null;
  #isOpen = true;

  private constructor(role: SourceRole, connection: mysql.Connection) {
    this.role = role;
    this.#connection = connection;
  }

  /**
   * Opens a session. `hangUp` breaks the connection off, also while it is being opened. Raises TidegateError refused, source-unreachable,
   * source-tls, source-login or source-privilege.
   */
  static async open(source: SourceConfig, role: SourceRole, hangUp?: AbortSignal): Promise<SourceConnection> {
    const connection = new SourceConnection(role, await openGuarded(source, role, hangUp));
    try {
      await connection.#prepareSession();
    } catch (error) {
      connection.destroy();
      throw error;
    }
    return connection;
  }

  async #prepareSession(): Promise<void> {
    const [row] = await this.query('select version() as version');
    const version = row?.['version'] ?? '';
    this.#version = parseVersion(flavorOf(version), version);
    for (const statement of sessionSettings(this.#version, this.role)) await this.query(statement);
    await this.query(innodbSetting).catch((error: unknown) => {
      if (!(error instanceof TidegateError) || error.kind !== 'source-statement') throw error;
    });
  }

  /** False after this side hung up. A connection that the server broke still counts as open. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Null: the version text of the server could not be parsed. */
  get version(): ServerVersion | null {
    return this.#version;
  }

  /** The mysql2 connection, for commands that read packets as bytes. The guard still checks what they send. */
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

  /** Sends the quit command and returns. A server that does not answer within a second is hung up on. */
  async close(): Promise<void> {
    if (!this.#isOpen) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 1_000);
      this.#connection.end(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.destroy();
  }

  /**
   * Hangs up at once. What runs at the server ends as soon as the server sends more data. mysql2's own destroy() only stops further
   * requests: the server would send the rest of a result while it holds locks, and a binlog without end.
   */
  destroy(): void {
    this.#isOpen = false;
    this.#connection.destroy();
    socketOf(this.#connection).destroy();
  }
}
