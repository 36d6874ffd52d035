import { setTimeout as rest } from 'node:timers/promises';
import { type ControlledTransaction, Kysely, PostgresDialect, sql } from 'kysely';
import type pg from 'pg';
import type { LineBuffer } from '../change/line-buffer.ts';
import type { TargetConfig } from '../config/config.ts';
import { fromPostgres } from '../errors/postgres-errors.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { addressOf } from '../errors/transport-errors.ts';
import { backoff } from '../lifetime/backoff.ts';
import { Scope, type Silence, breakable } from '../lifetime/scope.ts';
import { SilenceWatch } from '../lifetime/silence-watch.ts';
import { openTarget } from './connection.ts';
import { type ControlSchema, controlSchemaName } from './control/control-schema.ts';
import { ControlSchemaPlugin } from './control/control-schema-plugin.ts';
import { backendOf, lent, socketOf } from './wire/client.ts';
import { CopyOut } from './wire/copy-out.ts';
import { type Outcome, Pipeline, type Statement } from './wire/pipeline.ts';
import { PreparedStatements } from './wire/prepared-statements.ts';

const goodbyeMs = 1_000;

/** A transaction that may write. */
export type Target = Kysely<ControlSchema>;
/** What reads. The compiler knows no builder of it that writes. */
export type Reading = Pick<Target, 'selectFrom' | 'getExecutor'>;

/**
 * One PostgreSQL connection that reads. Kysely runs the statements.
 *
 * Invariant: PostgreSQL itself holds it to reading
 * (https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-DEFAULT-TRANSACTION-READ-ONLY).
 */
export class TargetSession {
  /** Its control tables belong to the replica with this target schema. */
  readonly db: Reading;
  readonly targetSchema: string;
  protected readonly kysely: Target;
  protected readonly client: pg.Client;
  protected readonly watch: SilenceWatch;
  readonly #scope: Scope;
  readonly #silence: Silence = { side: 'target' };
  #isOpen = true;
  #isServerReadOnly = false;

  protected constructor(scope: Scope, client: pg.Client, { schema: targetSchema, ...server }: TargetConfig) {
    this.#scope = scope;
    this.client = client;
    this.targetSchema = targetSchema;
    this.watch = new SilenceWatch(
      {
        bytes: () => socketOf(client).bytesRead + socketOf(client).bytesWritten,
        isAtWork: async () => await isAtWork({ schema: targetSchema, ...server }, this.backend),
        silent: (now) => scope.silence(this.#silence, now),
        hangUp: () => {
          this.destroy();
          // A frozen connection keeps its locks until PostgreSQL notices, which may take hours.
          void endBackend({ schema: targetSchema, ...server }, this.backend);
        },
      },
      (seconds) =>
        new TidegateError(
          'target-unreachable',
          `target: no answer from ${addressOf(server)} for ${seconds} s, and it is not at work`,
        ),
    );
    this.db = this.kysely = new Kysely<ControlSchema>({
      plugins: [new ControlSchemaPlugin(controlSchemaName(targetSchema))],
      dialect: new PostgresDialect({
        // The pool holds exactly this connection. Kysely opens no other, and TargetSession closes it.
        pool: {
          connect: async () => await Promise.resolve(lent(client, this.watch)),
          end: async () => await Promise.resolve(),
          options: {},
        },
      }),
    });
    scope.own(this);
  }

  /** Opens a session in a scope. Raises what `openTarget` raises. */
  static async open(scope: Scope, target: TargetConfig, applicationName?: string): Promise<TargetSession> {
    const session = new TargetSession(scope, await openTarget(scope, target, applicationName), target);
    const { rows } = await sql<{ isReadOnly: boolean }>`
      select current_setting('transaction_read_only') = 'on' as "isReadOnly",
             set_config('default_transaction_read_only', 'on', false)`.execute(session.db);
    session.#isServerReadOnly = rows[0]?.isReadOnly === true;
    return session;
  }

  /** The process id of the PostgreSQL backend. */
  get backend(): number {
    return backendOf(this.client);
  }

  /** The server would refuse a session that writes, too: it is a standby, or its settings say so. */
  get isServerReadOnly(): boolean {
    return this.#isServerReadOnly;
  }

  /**
   * Appends the result of a query to `out` as COPY text. `out` grows to at most `mostBytes`. The query must take no parameters. Returns
   * the number of rows, or null if there was more.
   */
  async copyOut(query: string, out: LineBuffer, mostBytes: number): Promise<number | null> {
    const copied = new Promise<number | null>((resolve, reject) => {
      const done = (error: Error | null, rows: number | null) =>
        error === null ? resolve(rows) : reject(fromPostgres(error, { what: 'read' }));
      this.client.query(new CopyOut(`copy (${query}) to stdout`, out, mostBytes, done));
    });
    return await this.watch.during(copied);
  }

  /** Closes the connection. Destroys the socket if the server does not answer within a second. */
  async close(): Promise<void> {
    if (!this.#isOpen) return;
    const timer = setTimeout(() => this.destroy(), goodbyeMs);
    await this.client.end().catch(() => undefined);
    clearTimeout(timer);
    this.destroy();
  }

  /** Breaks the connection off at once. pg then fails every statement that is pending. */
  destroy(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.watch.close();
    this.#scope.disown(this);
    socketOf(this.client).destroy();
  }
}

/**
 * One PostgreSQL connection that writes, in transactions. Only postgres/control begins one, and temporary tables do: all else writes through
 * a fence or a request. COPY uses the same connection, so copied rows and statements share a transaction.
 */
export class WritingSession extends TargetSession {
  readonly #prepared = new PreparedStatements();

  /** Opens a session in a scope. Raises what `openTarget` raises. */
  static override async open(scope: Scope, target: TargetConfig, applicationName?: string): Promise<WritingSession> {
    return new WritingSession(scope, await openTarget(scope, target, applicationName), target);
  }

  /** For migrations, which have transactions of their own, and for a single statement, which is one. */
  get all(): Target {
    return this.kysely;
  }

  /** Runs `work` in a transaction and commits it. */
  async transaction<T>(work: (trx: Target) => Promise<T>): Promise<T> {
    return await this.kysely.transaction().execute(work);
  }

  async begin(): Promise<ControlledTransaction<ControlSchema>> {
    return await this.kysely.startTransaction().execute();
  }

  /**
   * Sends COPY text lines into a table, inside the open transaction if there is one. `columns` are already quoted. Returns how many rows
   * the table has taken: a trigger of the target may have skipped some.
   */
  async copy(table: string, columns: string, lines: Buffer): Promise<number> {
    const [outcome] = await this.pipeline([[{ text: `copy ${table} (${columns}) from stdin`, lines: [lines] }]]);
    if (outcome?.error) throw fromPostgres(outcome.error, { what: 'apply' });
    return outcome?.rows[0] ?? 0;
  }

  /**
   * Sends groups of statements without waiting in between. An error ends only its group. Returns the outcome of each group. Errors hold
   * row values, so only code may read them.
   */
  async pipeline(groups: Iterable<Iterable<Statement>>): Promise<readonly Outcome[]> {
    return await this.watch.during(
      new Promise((resolve) => this.client.query(new Pipeline(this.client, groups, this.#prepared, resolve))),
    );
  }
}

const probeMs = 8_000;

/**
 * Whether the PostgreSQL process `backend` executes something, or waits for a lock, as it tells another session. It is not at work while it
 * waits for its client: so does one whose connection is dead. Raises when PostgreSQL cannot be asked.
 * (https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW)
 */
export async function isAtWork(target: TargetConfig, backend: number): Promise<boolean> {
  return await ask(
    target,
    `select from pg_stat_activity where pid = $1 and state = 'active' and wait_event_type is distinct from 'Client'`,
    backend,
  );
}

/** So long it is tried, and no longer: a later backend may have the same process id. */
const mostAttempts = 10;

/** Ends a session of our own role that is dead to us, so that it lets go of its locks. Asks again while PostgreSQL cannot be asked. */
async function endBackend(target: TargetConfig, backend: number): Promise<void> {
  const query =
    'select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and usename = current_user and datname = current_database()';
  for (let failures = 1; failures <= mostAttempts; failures++) {
    try {
      await ask(target, query, backend);
      return;
    } catch {
      // The process does not wait for it when it ends.
      await rest(backoff(failures), undefined, { ref: false });
    }
  }
}

/** Runs a query about a backend on another connection. Returns whether it has a row. */
async function ask(target: TargetConfig, query: string, backend: number): Promise<boolean> {
  await using scope = new Scope();
  const answer = async () => {
    const client = await openTarget(scope, target, 'tidegate watch');
    scope.own(breakable(() => socketOf(client).destroy()));
    const { rowCount } = await client.query(query, [backend]);
    return rowCount === 1;
  };
  return await scope.within(
    probeMs,
    answer(),
    () => new TidegateError('target-unreachable', 'target: no new connection works'),
  );
}
