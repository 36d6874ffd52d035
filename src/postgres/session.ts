import { type ControlledTransaction, Kysely, PostgresDialect } from 'kysely';
import type pg from 'pg';
import type { LineBuffer } from '../change/line-buffer.ts';
import type { TargetConfig } from '../config/config.ts';
import { fromPostgres } from '../errors/postgres-errors.ts';
import { openTarget } from './connection.ts';
import { type ControlSchema, controlSchemaName } from './control/control-schema.ts';
import { ControlSchemaPlugin } from './control/control-schema-plugin.ts';
import { backendOf, lent, socketOf } from './wire/client.ts';
import { type Copy, CopyIn } from './wire/copy-in.ts';
import { CopyOut } from './wire/copy-out.ts';

const goodbyeMs = 1_000;

export type Target = Kysely<ControlSchema>;

/**
 * One PostgreSQL connection. Kysely runs the statements. COPY uses the same connection, so copied rows and statements share a
 * transaction.
 */
export class TargetSession {
  /** Its control tables belong to the replica with this target schema. */
  readonly db: Target;
  readonly targetSchema: string;
  readonly #client: pg.Client;

  private constructor(client: pg.Client, targetSchema: string) {
    this.#client = client;
    this.targetSchema = targetSchema;
    this.db = new Kysely<ControlSchema>({
      plugins: [new ControlSchemaPlugin(controlSchemaName(targetSchema))],
      dialect: new PostgresDialect({
        // The pool holds exactly this connection. Kysely opens no other, and TargetSession closes it.
        pool: {
          connect: async () => await Promise.resolve(lent(client)),
          end: async () => await Promise.resolve(),
          options: {},
        },
      }),
    });
  }

  /** `hangUp` closes the connection immediately. A statement that is running then fails. */
  static async open(target: TargetConfig, applicationName?: string, hangUp?: AbortSignal): Promise<TargetSession> {
    return new TargetSession(await openTarget(target, applicationName, hangUp), target.schema);
  }

  /** The process id of the PostgreSQL backend. */
  get backend(): number {
    return backendOf(this.#client);
  }

  /** Runs `work` in a transaction and commits it. */
  async transaction<T>(work: (trx: Target) => Promise<T>): Promise<T> {
    return await this.guarded(async () => await this.db.transaction().execute(work));
  }

  async begin(): Promise<ControlledTransaction<ControlSchema>> {
    return await this.guarded(async () => await this.db.startTransaction().execute());
  }

  /**
   * Sends COPY text lines into a table, inside the open transaction if there is one. `columns` are already quoted. `before` holds
   * statements for the same message, which saves a round trip.
   */
  async copy(table: string, columns: string, lines: Buffer, before = ''): Promise<void> {
    const statement = `${before}copy ${table} (${columns}) from stdin`;
    const [error] = await this.copyEach([{ statement, lines: [lines] }]);
    if (error) throw fromPostgres(error, { what: 'apply' });
  }

  /**
   * Sends several COPYs without waiting in between. Returns the error of each COPY, or null. These errors hold row values, so only code
   * may read them.
   */
  async copyEach(copies: readonly Copy[]): Promise<readonly (Error | null)[]> {
    if (copies.length === 0) return [];
    return await new Promise((resolve) => this.#client.query(new CopyIn(this.#client, copies, resolve)));
  }

  /**
   * Appends the result of a query to `out` as COPY text. `out` grows to at most `mostBytes`. The query must take no parameters. Returns
   * the number of rows, or null if there was more.
   */
  async copyOut(query: string, out: LineBuffer, mostBytes: number): Promise<number | null> {
    return await this.guarded(
      async () =>
        await new Promise<number | null>((resolve, reject) => {
          const text = `copy (${query}) to stdout`;
          const copied = (error: Error | null, rows: number | null) => (error === null ? resolve(rows) : reject(error));
          this.#client.query(new CopyOut(text, out, mostBytes, copied));
        }),
    );
  }

  /** Converts an error of PostgreSQL or of the connection into a TidegateError without row values. */
  async guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw fromPostgres(error, { what: 'apply' });
    }
  }

  /** Closes the connection. Destroys the socket if the server does not answer within a second. */
  async close(): Promise<void> {
    const timer = setTimeout(() => socketOf(this.#client).destroy(), goodbyeMs);
    await this.#client.end().catch(() => undefined);
    clearTimeout(timer);
  }
}
