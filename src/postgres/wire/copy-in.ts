import type { Client, Connection, Submittable } from 'pg';

const copyDone = Buffer.from([0x63, 0, 0, 0, 4]);

/** `copy … from stdin` with all its data. */
export interface Copy {
  /** The statement, with further statements before and behind it for the same message. */
  readonly statement: string;
  /** COPY text, in one or several pieces; none if the statements hold no COPY. */
  readonly lines: readonly Buffer[];
}

/**
 * Several `copy … from stdin` with all their data, for `client.query`. All data is sent in one round trip, without waiting for the
 * server's answer to the statement. A server that could not start the COPY ignores the data
 * (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY). Each COPY is a message of its own, so an error ends only
 * that message. `done` gets the error of each COPY, or null.
 */
export class CopyIn implements Submittable {
  readonly #client: Client;
  readonly #copies: readonly Copy[];
  readonly #done: (outcomes: (Error | null)[]) => void;
  readonly #outcomes: (Error | null)[] = [];

  constructor(client: Client, copies: readonly Copy[], done: (outcomes: (Error | null)[]) => void) {
    this.#client = client;
    this.#copies = copies;
    this.#done = done;
  }

  submit(connection: Connection): void {
    // The first call has sent all of them.
    if (this.#outcomes.length > 0) return;
    const { stream } = connection;
    stream.cork();
    for (const { statement, lines } of this.#copies) {
      connection.query(statement);
      for (const piece of lines) {
        const head = Buffer.from([0x64, 0, 0, 0, 0]);
        head.writeUInt32BE(piece.length + 4, 1);
        stream.write(head);
        stream.write(piece);
      }
      if (lines.length > 0) stream.write(copyDone);
    }
    stream.uncork();
  }

  // The client of pg calls these methods as the answers arrive.

  handleCopyInResponse(): void {
    // The data has already been sent.
  }

  handleCommandComplete(): void {
    // It also comes for the statements around the COPY. Only the end counts.
  }

  handleReadyForQuery(): void {
    this.#next(null);
  }

  /** After an error, pg handles the end of the exchange itself. */
  handleError(error: Error): void {
    this.#next(error);
  }

  /** pg treats each message as a query of its own, which ends with ReadyForQuery. So each message submits this object again. */
  #next(outcome: Error | null): void {
    this.#outcomes.push(outcome);
    if (this.#outcomes.length < this.#copies.length) this.#client.query(this);
    else this.#done(this.#outcomes);
  }
}
