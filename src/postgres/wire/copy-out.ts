import type { Connection, Submittable } from 'pg';
import type { LineBuffer } from '../../change/line-buffer.ts';

const copyData = 0x64;
const headerBytes = 5;

/** How many rows came; null: more bytes than wanted, of which some are left away. */
type Copied = (error: Error | null, rows: number | null) => void;

/**
 * `copy … to stdout`, for `client.query`, into one run of bytes, of `mostBytes` at most. The server sends a message for each row;
 * those are taken from the socket before pg makes an object of each, which would cost more than all the rest
 * (https://www.postgresql.org/docs/current/protocol-message-formats.html).
 */
export class CopyOut implements Submittable {
  readonly #text: string;
  readonly #rows: Rows;
  readonly #done: Copied;
  /** Gives the socket back to pg. */
  #release: () => void = () => undefined;

  constructor(text: string, out: LineBuffer, mostBytes: number, done: Copied) {
    this.#text = text;
    this.#rows = new Rows(out, mostBytes);
    this.#done = done;
  }

  submit(connection: Connection): void {
    const { stream } = connection;
    const listeners = stream.listeners('data') as ((chunk: Buffer) => void)[];
    const rest = new RestOf(this.#rows, (chunk) => {
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
    this.#done(null, this.#rows.count);
  }

  /** After this, pg takes the end of the exchange for itself. */
  handleError(error: Error): void {
    this.#release();
    this.#done(error, null);
  }
}

class Rows {
  readonly #out: LineBuffer;
  readonly #mostBytes: number;
  #count = 0;
  #isFull = false;

  constructor(out: LineBuffer, mostBytes: number) {
    this.#out = out;
    this.#mostBytes = mostBytes;
  }

  add(data: Buffer, start: number, end: number): void {
    const out = this.#out;
    this.#isFull ||= out.length + end - start > this.#mostBytes;
    if (this.#isFull) return;
    this.#count++;
    out.reserve(end - start);
    out.length += data.copy(out.bytes, out.length, start, end);
  }

  get count(): number | null {
    return this.#isFull ? null : this.#count;
  }
}

/** Takes rows out of what a server sends and passes the rest on, message by message; after its release, all of it. */
class RestOf {
  isReleased = false;
  readonly #rows: Rows;
  readonly #pass: (chunk: Buffer) => void;
  /** The beginning of a message of which the end has not come yet, and how long both must be together to go on. */
  #begun: Buffer[] = [];
  #length = 0;
  #needed = headerBytes;

  constructor(rows: Rows, pass: (chunk: Buffer) => void) {
    this.#rows = rows;
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
      if (data[at] === copyData) this.#rows.add(data, at + headerBytes, end);
      else this.#pass(data.subarray(at, end));
      at = end;
    }
    const rest = data.subarray(at);
    if (this.isReleased && rest.length > 0) this.#pass(rest);
    this.#begun = rest.length === 0 || this.isReleased ? [] : [rest];
    this.#length = this.#begun.length === 0 ? 0 : rest.length;
  }
}
