import type { Connection, Submittable } from 'pg';
import type { LineBuffer } from '../change/line-buffer.ts';

const copyData = 0x64;
const headerBytes = 5;

/**
 * `copy … to stdout`, for `client.query`, into one run of bytes. The server sends a message for each row; those are taken from the
 * socket before pg makes an object of each, which would cost more than all the rest
 * (https://www.postgresql.org/docs/current/protocol-message-formats.html).
 */
export class CopyOut implements Submittable {
  readonly #text: string;
  readonly #out: LineBuffer;
  readonly #settle: (error: Error | null) => void;
  /** Gives the socket back to pg. */
  #release: () => void = () => undefined;

  constructor(text: string, out: LineBuffer, settle: (error: Error | null) => void) {
    this.#text = text;
    this.#out = out;
    this.#settle = settle;
  }

  submit(connection: Connection): void {
    const { stream } = connection;
    const listeners = stream.listeners('data') as ((chunk: Buffer) => void)[];
    const rest = new RestOf(this.#out, (chunk) => {
      for (const listener of listeners) listener.call(stream, chunk);
    });
    const take = (chunk: Buffer) => rest.take(chunk);
    for (const listener of listeners) stream.off('data', listener);
    stream.on('data', take);
    this.#release = () => {
      this.#release = () => undefined;
      rest.isReleased = true;
      stream.off('data', take);
      for (const listener of listeners) stream.on('data', listener);
    };
    connection.query(this.#text);
  }

  // What pg's client calls as the answers come in.

  handleCopyData(): void {
    // It never gets to see any.
  }

  handleCommandComplete(): void {
    // Only the end counts.
  }

  handleReadyForQuery(): void {
    this.#release();
    this.#settle(null);
  }

  /** After this, pg takes the end of the exchange for itself. */
  handleError(error: Error): void {
    this.#release();
    this.#settle(error);
  }
}

/** Takes rows out of what a server sends and passes the rest on, message by message; once it is released, all of it. */
class RestOf {
  isReleased = false;
  readonly #out: LineBuffer;
  readonly #pass: (chunk: Buffer) => void;
  /** The beginning of a message of which the end has not come yet, and how long both must be together to go on. */
  #begun: Buffer[] = [];
  #length = 0;
  #needed = headerBytes;

  constructor(out: LineBuffer, pass: (chunk: Buffer) => void) {
    this.#out = out;
    this.#pass = pass;
  }

  take(chunk: Buffer): void {
    this.#begun.push(chunk);
    this.#length += chunk.length;
    if (this.#length < this.#needed) return;
    const data = this.#begun.length === 1 ? chunk : Buffer.concat(this.#begun);
    let at = 0;
    this.#needed = headerBytes;
    while (data.length - at >= headerBytes && !this.isReleased) {
      const end = at + 1 + data.readUInt32BE(at + 1);
      if (end > data.length) {
        this.#needed = end - at;
        break;
      }
      if (data[at] === copyData) {
        const out = this.#out;
        out.reserve(end - at);
        out.length += data.copy(out.bytes, out.length, at + headerBytes, end);
      } else this.#pass(data.subarray(at, end));
      at = end;
    }
    const rest = data.subarray(at);
    if (this.isReleased && rest.length > 0) this.#pass(rest);
    this.#begun = rest.length === 0 || this.isReleased ? [] : [rest];
    this.#length = this.#begun.length === 0 ? 0 : rest.length;
  }
}
