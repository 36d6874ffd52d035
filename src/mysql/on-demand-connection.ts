import { TidegateError } from '../errors/tidegate-error.ts';
import type { SourceConnection } from './connection.ts';

/**
 * A connection that is opened on first use, kept, and reopened once it is broken. Several may use it at once: a statement that the server
 * refuses to one of them takes nothing from the others.
 */
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
      if (isRefusal(error) && (await isOpen(connection))) throw error;
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

/** The server answered, and said no. The connection is as good as before. */
function isRefusal(error: unknown): boolean {
  return error instanceof TidegateError && error.action === 'operator';
}

async function isOpen(connection: Promise<SourceConnection>): Promise<boolean> {
  return await connection.then(
    ({ isOpen: open }) => open,
    () => false,
  );
}
