import { TidegateError } from '../errors/tidegate-error.ts';

const goodbyeMs = 1_000;

/**
 * A connection that is asked again and again. A server that does not answer in time is hung up on, and the next question is asked
 * on a new connection, which also follows every other failure.
 */
export class KeptConnection<T extends { close(): Promise<void> }> {
  readonly #side: 'source' | 'target';
  readonly #open: (hangUp: AbortSignal) => Promise<T>;
  #current: { readonly connection: Promise<T>; readonly hangUp: AbortController } | null = null;

  constructor(side: 'source' | 'target', open: (hangUp: AbortSignal) => Promise<T>) {
    this.#side = side;
    this.#open = open;
  }

  /** Begins to connect, if it is not; a failure is told to whoever asks. */
  begin(): void {
    this.#connect();
  }

  /** `patienceMs`: how long to wait for the connection and the answer. Raises what kept it from being answered. */
  async ask<R>(question: (connection: T) => Promise<R>, patienceMs: number): Promise<R> {
    const { connection, hangUp } = this.#connect();
    const { promise: late, reject } = Promise.withResolvers<never>();
    const seconds = Math.round(patienceMs / 1000);
    const timer = setTimeout(
      () => reject(new TidegateError(`${this.#side}-unreachable`, `${this.#side}: no answer within ${seconds} s`)),
      patienceMs,
    );
    try {
      const answer = connection.then(question);
      // Nobody may be waiting for it any more when it fails.
      answer.catch(() => undefined);
      return await Promise.race([answer, late]);
    } catch (error) {
      hangUp.abort();
      this.#current = null;
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Says goodbye; a server that does not take it is hung up on. */
  async close(): Promise<void> {
    if (this.#current === null) return;
    const { hangUp } = this.#current;
    await this.ask(async (connection) => await connection.close(), goodbyeMs).catch(() => undefined);
    hangUp.abort();
    this.#current = null;
  }

  #connect() {
    if (this.#current === null) {
      const hangUp = new AbortController();
      const connection = this.#open(hangUp.signal);
      connection.catch(() => undefined);
      this.#current = { connection, hangUp };
    }
    return this.#current;
  }
}
