import type { Client, Connection, Submittable } from 'pg';

const copyDone = Buffer.from([0x63, 0, 0, 0, 4]);

/** `copy … from stdin` with all its data. */
export interface Copy {
  /** The statement, with others before and behind it if they are to go in the same message. */
  readonly statement: string;
  /** COPY text, in one piece or several; none where the statements hold no COPY. */
  readonly lines: readonly Buffer[];
}

/**
 * Some `copy … from stdin` with all their data, for `client.query`. The data is sent along with the statement instead of after the
 * server's answer to it, in one go and one round trip: a server that could not begin the COPY ignores it
 * (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY). So is the next one, each in a message of its own: what is
 * raised in one ends that message and no other. `done` gets what was raised in each, null for nothing.
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
    // The others went with the first.
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

  // What pg's client calls as the answers come in.

  handleCopyInResponse(): void {
    // The data is on its way already.
  }

  handleCommandComplete(): void {
    // Also of the statements around the COPY; only the end counts.
  }

  handleReadyForQuery(): void {
    this.#next(null);
  }

  /** After this, pg takes the end of the exchange for itself. */
  handleError(error: Error): void {
    this.#next(error);
  }

  /** To pg each message is a query of its own, whose answers end with its being ready for the next. */
  #next(outcome: Error | null): void {
    this.#outcomes.push(outcome);
    if (this.#outcomes.length < this.#copies.length) this.#client.query(this);
    else this.#done(this.#outcomes);
  }
}
