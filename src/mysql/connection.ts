import type mysql from 'mysql2';
import type { SourceConfig } from '../config/config.ts';
import { fromMysql } from '../errors/mysql-errors.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { addressOf } from '../errors/transport-errors.ts';
import { sleep } from '../lifetime/backoff.ts';
import { Scope, type Silence } from '../lifetime/scope.ts';
import { SilenceWatch } from '../lifetime/silence-watch.ts';
import { type SourceRole, openGuarded } from './wire/guarded-connection.ts';
import { quoteName } from './identifiers.ts';
import { type ServerVersion, flavorOf, parseVersion } from './server-version.ts';
import { socketOf } from './wire/socket.ts';
import { innodbSetting, limitsStatements, sessionSettings } from './session-settings.ts';

/** A result row as the server printed it: each value is its text, and SQL NULL is null. */
export type TextRow = Record<string, string | null>;

/** How long another connection may take to tell whether this one is at work. */
const probeMs = 8_000;
const goodbyeMs = 1_000;
const askAgainMs = 500;

/**
 * Threads of the server that we hung up on in the midst of a statement, where the server has no limit for statements. Nothing more is sent
 * before they are gone, so that no table is ever read twice at once.
 */
const orphans = new WeakMap<SourceConfig, Set<number>>();

/**
 * A read-only session at the source. It can send only statements that the statement guard allows.
 *
 * Invariant: every statement comes to an end. The server answers, or the connection is silent and is hung up on, or it is destroyed; in each
 * case what was pending settles.
 */
export class SourceConnection {
  readonly role: SourceRole;
  readonly #scope: Scope;
  readonly #source: SourceConfig;
  readonly #connection: mysql.Connection;
  /** Null: this connection only asks about another one, and its caller bounds the time. */
  readonly #watch: SilenceWatch | null;
  readonly #pending = new Set<(error: TidegateError) => void>();
  readonly #silence: Silence = { side: 'source' };
  #version: ServerVersion | null = null;
  #isOpen = true;

  private constructor(
    scope: Scope,
    source: SourceConfig,
    role: SourceRole,
    connection: mysql.Connection,
    isProbe: boolean,
  ) {
    this.role = role;
    this.#scope = scope;
    this.#source = source;
    this.#connection = connection;
    this.#watch = isProbe ? null : this.#watched();
    scope.own(this);
  }

  /** Opens a session in a scope. Raises TidegateError refused, source-unreachable, source-tls, source-login or source-privilege. */
  static async open(scope: Scope, source: SourceConfig, role: SourceRole): Promise<SourceConnection> {
    const connection = new SourceConnection(scope, source, role, await openGuarded(scope, source, role), false);
    try {
      await connection.#prepareSession();
      await connection.#untilGone(orphans.get(source) ?? new Set());
    } catch (error) {
      connection.destroy();
      throw error;
    }
    return connection;
  }

  #watched(): SilenceWatch {
    return new SilenceWatch(
      {
        bytes: () => {
          const socket = socketOf(this.#connection);
          return socket.bytesRead + socket.bytesWritten;
        },
        isAtWork: async () => await this.#isAtWork(),
        silent: (now) => this.#scope.silence(this.#silence, now),
        hangUp: (error) => this.#hangUp(error),
      },
      (seconds) =>
        new TidegateError(
          'source-unreachable',
          `source (${this.role}): no answer from ${addressOf(this.#source)} for ${seconds} s, and it is not at work`,
        ),
    );
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

  /** The name of a table of the replicated database, quoted. */
  quoteTable(table: string): string {
    return `${quoteName(this.#source.database)}.${quoteName(table)}`;
  }

  get #user(): string {
    return quoteName(this.#source[this.role].user);
  }

  /** The mysql2 connection, for commands that read packets as bytes. The guard still checks what they send. */
  get raw(): mysql.Connection {
    return this.#connection;
  }

  /** Runs one statement and returns every value as the server's text. */
  async query(sql: string): Promise<TextRow[]> {
    return await this.answer<TextRow[]>((resolve, reject) =>
      this.#connection.query({ sql, typeCast: (field) => field.string('utf8') }, (error, rows) => {
        if (error) reject(fromMysql(error, { what: 'query', role: this.role, user: this.#user }));
        else resolve(Array.isArray(rows) ? (rows as TextRow[]) : []);
      }),
    );
  }

  /** Sends something by `send` and waits for its answer. Rejects when the connection is destroyed, whatever mysql2 does then. */
  async answer<T>(send: (resolve: (value: T) => void, reject: (error: TidegateError) => void) => void): Promise<T> {
    if (!this.#isOpen) throw this.#closed();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#pending.add(reject);
    try {
      send(resolve, reject);
      return await (this.#watch === null ? promise : this.#watch.during(promise));
    } finally {
      this.#pending.delete(reject);
    }
  }

  /** Sends the quit command and returns. A server that does not answer within a second is hung up on. */
  async close(): Promise<void> {
    if (!this.#isOpen) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, goodbyeMs);
      this.#connection.end(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.destroy();
  }

  /**
   * Hangs up at once, and what is pending fails. What runs at the server ends as soon as the server sends more data. mysql2's own destroy()
   * only stops further requests: the server would send the rest of a result while it holds locks, and a binlog without end.
   */
  destroy(): void {
    this.#hangUp(this.#closed());
  }

  #hangUp(error: TidegateError): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    if (this.#pending.size > 0 && this.role === 'reader' && !limitsStatements(this.#version)) this.#leaveBehind();
    this.#watch?.close();
    this.#scope.disown(this);
    this.#connection.destroy();
    socketOf(this.#connection).destroy();
    for (const reject of this.#pending) reject(error);
  }

  #closed(): TidegateError {
    return new TidegateError('source-unreachable', `source (${this.role}): the connection was closed`);
  }

  #leaveBehind(): void {
    const { threadId } = this.#connection;
    if (typeof threadId !== 'number') return;
    const left = orphans.get(this.#source) ?? new Set();
    orphans.set(this.#source, left.add(threadId));
  }

  /** Waits until the server has ended these threads. */
  async #untilGone(threads: Set<number>): Promise<void> {
    while (threads.size > 0) {
      const present = await this.#busyThreads();
      for (const thread of threads) if (!present.has(thread)) threads.delete(thread);
      if (threads.size > 0) await sleep(askAgainMs, this.#scope.signal);
      this.#scope.signal.throwIfAborted();
    }
  }

  /** Threads of this account that execute something. An account without PROCESS sees its own threads only. */
  async #busyThreads(): Promise<ReadonlySet<number>> {
    const rows = await this.query('show processlist');
    return new Set(rows.filter((row) => row['Command'] !== 'Sleep').map((row) => Number(row['Id'])));
  }

  /** Whether the server still executes the statement of this connection, as it tells another one. */
  async #isAtWork(): Promise<boolean> {
    await using scope = new Scope();
    const ask = async () => {
      const raw = await openGuarded(scope, this.#source, this.role);
      return await new SourceConnection(scope, this.#source, this.role, raw, true).#busyThreads();
    };
    const busy = await scope.within(
      probeMs,
      ask(),
      () => new TidegateError('source-unreachable', 'source: no new connection works'),
    );
    const { threadId } = this.#connection;
    return typeof threadId === 'number' && busy.has(threadId);
  }
}
