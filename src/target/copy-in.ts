import type { Connection, Submittable } from 'pg';

const copyDone = Buffer.from([0x63, 0, 0, 0, 4]);

/**
 * `copy … from stdin` with all its data, for `client.query`. The data is sent along with the statement instead of after the
 * server's answer to it, in one go and one round trip: a server that could not begin the COPY ignores it
 * (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY).
 */
export class CopyIn implements Submittable {
  readonly #text: string;
  readonly #lines: Buffer;
  readonly #settle: (error: Error | null) => void;

  constructor(text: string, lines: Buffer, settle: (error: Error | null) => void) {
    this.#text = text;
    this.#lines = lines;
    this.#settle = settle;
  }

  submit(connection: Connection): void {
    const { stream } = connection;
    const head = Buffer.from([0x64, 0, 0, 0, 0]);
    head.writeUInt32BE(this.#lines.length + 4, 1);
    stream.cork();
    connection.query(this.#text);
    stream.write(head);
    stream.write(this.#lines);
    stream.write(copyDone);
    stream.uncork();
  }

  // What pg's client calls as the answers come in.

  handleCopyInResponse(): void {
    // The data is on its way already.
  }

  handleCommandComplete(): void {
    // Also of the statements before the COPY; only the end counts.
  }

  handleReadyForQuery(): void {
    this.#settle(null);
  }

  /** After this, pg takes the end of the exchange for itself. */
  handleError(error: Error): void {
    this.#settle(error);
  }
}
