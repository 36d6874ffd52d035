import type mysql from 'mysql2';
import type { SourceConfig } from '../config/config.ts';
import { fromMysql } from '../errors/mysql-errors.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { type SourceRole, openGuarded } from './wire/guarded-connection.ts';
import { type ServerVersion, flavorOf, parseVersion } from './server-version.ts';
import { socketOf } from './wire/socket.ts';
import { innodbSetting, sessionSettings } from './session-settings.ts';

/** A result row as the server printed it: every value is its text, SQL NULL is null. */
export type TextRow = Record<string, string | null>;

/** A read-only session at the source, in which nothing but what the statement guard lets through can be said. */
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
   * `hangUp` breaks the connection off, its beginning included. Raises TidegateError refused, source-unreachable, source-tls,
   * source-login or source-privilege.
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

  /** False once it was hung up on; by the server's doing it still counts as open. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Null: the server did not tell it in a way that is understood. */
  get version(): ServerVersion | null {
    return this.#version;
  }

  /** The connection beneath, for commands that read packets as bytes; the guard watches what they send. */
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
   * Hangs up at once, and what runs at the server ends as soon as it sends something more. mysql2's own destroy() only says that
   * nothing more will be asked: the server would send all the rest of a result, locks held, and a binlog for ever.
   */
  destroy(): void {
    this.#isOpen = false;
    this.#connection.destroy();
    socketOf(this.#connection).destroy();
  }
}
