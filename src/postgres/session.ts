import { type ControlledTransaction, Kysely, PostgresDialect, sql } from 'kysely';
import type pg from 'pg';
import type { LineBuffer } from '../change/line-buffer.ts';
import type { TargetConfig } from '../config/config.ts';
import { fromPostgres } from '../errors/postgres-errors.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { addressOf } from '../errors/transport-errors.ts';
import { backoff, sleep } from '../lifetime/backoff.ts';
import { type Scope, type Silence, breakable } from '../lifetime/scope.ts';
import { SilenceWatch } from '../lifetime/silence-watch.ts';
import { type Backend, openTarget } from './connection.ts';
import { type ControlSchema, controlSchemaName } from './control/control-schema.ts';
import { ControlSchemaPlugin } from './control/control-schema-plugin.ts';
import { lent, socketOf } from './wire/client.ts';
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
  readonly backend: Backend;
  protected readonly kysely: Target;
  protected readonly client: pg.Client;
  protected readonly watch: SilenceWatch;
  readonly #scope: Scope;
  readonly #target: TargetConfig;
  readonly #silence: Silence = { side: 'target' };
  #isOpen = true;
  #isServerReadOnly = false;

  protected constructor(
    scope: Scope,
    { client, backend }: { readonly client: pg.Client; readonly backend: Backend },
    target: TargetConfig,
  ) {
    this.#scope = scope;
    this.#target = target;
    this.client = client;
    this.backend = backend;
    this.targetSchema = target.schema;
    this.watch = new SilenceWatch(
      {
        bytes: () => socketOf(client).bytesRead + socketOf(client).bytesWritten,
        isAtWork: async () => await isAtWork(scope, target, backend),
        silent: (now) => scope.silence(this.#silence, now),
        hangUp: () => this.destroy(),
      },
      (seconds) =>
        new TidegateError(
          'target-unreachable',
          `target: no answer from ${addressOf(target)} for ${seconds} s, and it is not at work`,
        ),
    );
    this.db = this.kysely = new Kysely<ControlSchema>({
      plugins: [new ControlSchemaPlugin(controlSchemaName(target.schema))],
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

  /** Closes the connection. Destroys it if it is broken, or the server does not answer within a second. */
  async close(): Promise<void> {
    if (!this.#isOpen) return;
    if (socketOf(this.client).readyState !== 'open') return this.destroy();
    const timer = setTimeout(() => this.destroy(), goodbyeMs);
    await this.client.end().catch(() => undefined);
    clearTimeout(timer);
    this.#leave();
  }

  /** Breaks the connection off at once. pg then fails every statement that is pending. */
  destroy(): void {
    if (!this.#isOpen) return;
    this.#leave();
    // Until PostgreSQL notices, which may take hours, the session keeps its locks.
    void endBackend(this.#scope.root, this.#target, this.backend);
  }

  #leave(): void {
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
 * Whether a backend executes something, or waits for a lock, as it tells another session. It is not at work while it waits for its client: so
 * does one whose connection is dead. Raises when PostgreSQL cannot be asked.
 * (https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW)
 */
export async function isAtWork(scope: Scope, target: TargetConfig, backend: Backend): Promise<boolean> {
  return await ask(scope, target, 'select', `state = 'active' and wait_event_type is distinct from 'Client'`, backend);
}

/** After so many, the network is down, and PostgreSQL notices by its own keepalives. */
const mostAttempts = 10;

/**
 * Ends a session of ours that is dead to us, so that it lets go of its locks. Asks again while PostgreSQL cannot be asked. When the whole is
 * to stop, it is left to the next holder of the lease.
 */
async function endBackend(whole: Scope, target: TargetConfig, backend: Backend): Promise<void> {
  await using scope = whole.child();
  const { signal } = scope;
  signal.addEventListener('abort', () => scope.hangUp(signal.reason), { once: true });
  for (let failures = 1; failures <= mostAttempts && !signal.aborted; failures++) {
    try {
      await ask(scope, target, 'select pg_terminate_backend(pid)', 'usename = current_user', backend);
      return;
    } catch {
      await sleep(backoff(failures), signal);
    }
  }
}

/** Asks about a backend on another connection. Returns whether there is one for which `condition` holds. */
async function ask(
  scope: Scope,
  target: TargetConfig,
  select: string,
  condition: string,
  { pid, startedAt }: Backend,
): Promise<boolean> {
  await using part = scope.child();
  const answer = async () => {
    const { client } = await openTarget(part, target, 'tidegate watch');
    part.own(breakable(() => socketOf(client).destroy()));
    // A later backend may have the same process id.
    const query = `${select} from pg_stat_activity where pid = $1 and backend_start = $2 and ${condition}`;
    return (await client.query(query, [pid, startedAt])).rowCount === 1;
  };
  return await part.within(
    probeMs,
    answer(),
    () => new TidegateError('target-unreachable', 'target: no new connection works'),
  );
}
