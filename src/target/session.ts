import type { Socket } from 'node:net';
import { type ControlledTransaction, Kysely, PostgresDialect } from 'kysely';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { TargetConfig } from '../config/config.ts';
import { fromPostgres } from '../errors/postgres-errors.ts';
import { openTarget } from './connection.ts';
import type { ControlSchema } from './control-schema.ts';

export type Target = Kysely<ControlSchema>;

/**
 * One PostgreSQL connection, spoken to through Kysely, with COPY beside it on the same connection, so that copied rows and
 * statements share a transaction.
 */
export class TargetSession {
  readonly db: Target;
  readonly #client: pg.Client;

  private constructor(client: pg.Client) {
    this.#client = client;
    const lent = Object.assign(client, { release: () => undefined });
    this.db = new Kysely<ControlSchema>({
      dialect: new PostgresDialect({
        // A pool of exactly this connection: Kysely may not open others, and closing is ours.
        pool: {
          connect: async () => await Promise.resolve(lent as unknown as pg.PoolClient),
          end: async () => await Promise.resolve(),
          options: {},
        },
      }),
    });
  }

  /** `hangUp` breaks the connection off, whatever it is doing; what it was doing then fails. */
  static async open(target: TargetConfig, applicationName?: string, hangUp?: AbortSignal): Promise<TargetSession> {
    const client = await openTarget(target, applicationName);
    const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
    if (hangUp?.aborted === true) stream.destroy();
    hangUp?.addEventListener('abort', () => stream.destroy(), { once: true });
    return new TargetSession(client);
  }

  /** Runs `work` in a transaction and commits it. */
  async transaction<T>(work: (trx: Target) => Promise<T>): Promise<T> {
    return await this.guarded(async () => await this.db.transaction().execute(work));
  }

  async begin(): Promise<ControlledTransaction<ControlSchema>> {
    return await this.guarded(async () => await this.db.startTransaction().execute());
  }

  /** Sends COPY text lines into a table, within whatever transaction is open. `columns` are quoted already. */
  async copy(table: string, columns: string, chunks: readonly Buffer[]): Promise<void> {
    await this.guarded(
      async () =>
        await new Promise<void>((resolve, reject) => {
          const stream = this.#client.query(copyFrom(`copy ${table} (${columns}) from stdin`));
          stream.on('error', reject);
          stream.on('finish', resolve);
          for (const chunk of chunks) stream.write(chunk);
          stream.end();
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

  async close(): Promise<void> {
    await this.#client.end().catch(() => undefined);
  }
}
