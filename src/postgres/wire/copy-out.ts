import type { Connection, Submittable } from 'pg';
import type { LineBuffer } from '../../change/line-buffer.ts';

const copyData = 0x64;
const headerBytes = 5;

/** `rows` is the number of rows. It is null if there were more bytes than wanted, and some were dropped. */
type Copied = (error: Error | null, rows: number | null) => void;

/**
 * `copy … to stdout`, for `client.query`, into one buffer of at most `mostBytes`. The server sends a message for each row. They are taken
 * from the socket before pg creates an object for each. These objects would cost more than all the rest
 * (https://www.postgresql.org/docs/current/protocol-message-formats.html).
 */
export class CopyOut implements Submittable {
  readonly #text: string;
  readonly #rows: Rows;
  readonly #done: Copied;
  /** Returns the socket to pg. */
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

  // The client of pg calls these methods as the answers arrive.

  handleCopyData(): void {
    // pg never sees these messages.
  }

  handleCommandComplete(): void {
    // Only the end counts.
  }

  handleReadyForQuery(): void {
    this.#release();
    this.#done(null, this.#rows.count);
  }

  /** After an error, pg handles the end of the exchange itself. */
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

/** Removes row messages from the data of a server and passes on all other messages. After its release, it passes on everything. */
class RestOf {
  isReleased = false;
  readonly #rows: Rows;
  readonly #pass: (chunk: Buffer) => void;
  /** The pieces of an incomplete message, their length, and the length needed to continue. */
  #pieces: Buffer[] = [];
  #length = 0;
  #needed = headerBytes;

  constructor(rows: Rows, pass: (chunk: Buffer) => void) {
    this.#rows = rows;
    this.#pass = pass;
  }

  take(chunk: Buffer): void {
    this.#pieces.push(chunk);
    this.#length += chunk.length;
    if (this.#length < this.#needed) return;
    const data = this.#pieces.length === 1 ? chunk : Buffer.concat(this.#pieces);
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
    this.#pieces = rest.length === 0 || this.isReleased ? [] : [rest];
    this.#length = this.#pieces.length === 0 ? 0 : rest.length;
  }
}
