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
 * One PostgreSQL connection, spoken to through Kysely, with COPY beside it on the same connection, so that copied rows and
 * statements share a transaction.
 */
export class TargetSession {
  /** Control tables are those of the replica that has this target schema. */
  readonly db: Target;
  readonly targetSchema: string;
  readonly #client: pg.Client;

  private constructor(client: pg.Client, targetSchema: string) {
    this.#client = client;
    this.targetSchema = targetSchema;
    this.db = new Kysely<ControlSchema>({
      plugins: [new ControlSchemaPlugin(controlSchemaName(targetSchema))],
      dialect: new PostgresDialect({
        // A pool of exactly this connection: Kysely may not open others, and closing is ours.
        pool: {
          connect: async () => await Promise.resolve(lent(client)),
          end: async () => await Promise.resolve(),
          options: {},
        },
      }),
    });
  }

  /** `hangUp` breaks the connection off, whatever it is doing; what it was doing then fails. */
  static async open(target: TargetConfig, applicationName?: string, hangUp?: AbortSignal): Promise<TargetSession> {
    return new TargetSession(await openTarget(target, applicationName, hangUp), target.schema);
  }

  /** The number of the PostgreSQL process at the other end. */
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
   * Sends COPY text lines into a table, within whatever transaction is open. `columns` are quoted already. `before`: statements
   * that go in the same message and save a round trip.
   */
  async copy(table: string, columns: string, lines: Buffer, before = ''): Promise<void> {
    const statement = `${before}copy ${table} (${columns}) from stdin`;
    const [error] = await this.copyEach([{ statement, lines: [lines] }]);
    if (error) throw fromPostgres(error, { what: 'apply' });
  }

  /**
   * Sends several COPYs without waiting in between. Returns what PostgreSQL raised for each, null for nothing, as it is: with values, for
   * programs only.
   */
  async copyEach(copies: readonly Copy[]): Promise<readonly (Error | null)[]> {
    if (copies.length === 0) return [];
    return await new Promise((resolve) => this.#client.query(new CopyIn(this.#client, copies, resolve)));
  }

  /**
   * What a query gives, as COPY text, at the end of `out`, which becomes no longer than `mostBytes`. The query must take no
   * parameters. Returns how many rows came; null: there was more.
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

  /** Turns what PostgreSQL or the connection raised into a TidegateError without values. */
  async guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw fromPostgres(error, { what: 'apply' });
    }
  }

  /** Says goodbye and returns; a server that does not answer is hung up on. */
  async close(): Promise<void> {
    const timer = setTimeout(() => socketOf(this.#client).destroy(), goodbyeMs);
    await this.#client.end().catch(() => undefined);
    clearTimeout(timer);
  }
}
