import type { SourceConnection } from './connection.ts';

/** A connection that is opened on first use, kept, and reopened after a failure. */
export class OnDemandConnection {
  readonly #open: () => Promise<SourceConnection>;
  #connection: Promise<SourceConnection> | null = null;

  constructor(open: () => Promise<SourceConnection>) {
    this.#open = open;
  }

  async use<T>(work: (connection: SourceConnection) => Promise<T>): Promise<T> {
    const connection = (this.#connection ??= this.#open());
    try {
      return await work(await connection);
    } catch (error) {
      if (this.#connection === connection) this.#connection = null;
      connection.then(
        (broken) => broken.destroy(),
        () => undefined,
      );
      throw error;
    }
  }

  /** A later `use` opens a new connection. */
  async close(): Promise<void> {
    const connection = this.#connection;
    this.#connection = null;
    await connection?.then(
      async (kept) => await kept.close(),
      () => undefined,
    );
  }
}
