import { TidegateError } from '../errors/tidegate-error.ts';
import { Scope } from '../lifetime/scope.ts';

const goodbyeMs = 1_000;

/**
 * A connection for repeated queries. After a timeout or any other failure it is closed, and the next query opens a new one.
 */
export class KeptConnection<T extends { close(): Promise<void> }> {
  readonly #side: 'source' | 'target';
  readonly #open: (scope: Scope) => Promise<T>;
  /** Each connection has a scope of its own, which is hung up with it. */
  #ended: TidegateError | null = null;
  #current: { readonly connection: Promise<T>; readonly scope: Scope } | null = null;

  constructor(side: 'source' | 'target', open: (scope: Scope) => Promise<T>) {
    this.#side = side;
    this.#open = open;
  }

  /** Starts to connect, if it is not connected. The next `ask` raises a failure. */
  begin(): void {
    if (this.#ended === null) this.#connect();
  }

  /**
   * `patienceMs`: how long to wait for the connection and the answer together. A session that breaks midway says nothing about its server,
   * so the question is asked once more in the time that is left. Raises the error, or unreachable after that time.
   */
  async ask<R>(question: (connection: T) => Promise<R>, patienceMs: number): Promise<R> {
    const deadline = performance.now() + patienceMs;
    try {
      return await this.#askOnce(question, patienceMs);
    } catch (error) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0 || !(error instanceof TidegateError) || error.action !== 'retry') throw error;
      return await this.#askOnce(question, leftMs);
    }
  }

  async #askOnce<R>(question: (connection: T) => Promise<R>, patienceMs: number): Promise<R> {
    if (this.#ended !== null) throw this.#ended;
    const { connection, scope } = this.#connect();
    const time = patienceMs < 1_000 ? 'in the time left' : `within ${Math.round(patienceMs / 1000)} s`;
    try {
      return await scope.within(
        patienceMs,
        connection.then(question),
        () => new TidegateError(`${this.#side}-unreachable`, `${this.#side}: no answer ${time}`),
      );
    } catch (error) {
      scope.hangUp(error);
      this.#current = null;
      throw error;
    }
  }

  /** Destroys the connection for good: what waits for it fails, and so does every later query. */
  hangUp(): void {
    this.#ended ??= new TidegateError(`${this.#side}-unreachable`, `${this.#side}: the connection was closed`);
    this.#current?.scope.hangUp(this.#ended);
  }

  /** Closes the connection, by force if the server does not respond in time. */
  async close(): Promise<void> {
    if (this.#current === null) return;
    const { scope } = this.#current;
    await this.#askOnce(async (connection) => await connection.close(), goodbyeMs).catch(() => undefined);
    await scope[Symbol.asyncDispose]();
    this.#current = null;
  }

  #connect() {
    if (this.#current === null) {
      const scope = new Scope();
      const connection = this.#open(scope);
      connection.catch(() => undefined);
      this.#current = { connection, scope };
    }
    return this.#current;
  }
}
