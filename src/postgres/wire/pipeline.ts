import type { Client, Connection, Submittable } from 'pg';
import type { Writable } from 'node:stream';
import type { PreparedStatements } from './prepared-statements.ts';

/** Small messages are collected up to this many bytes before they go to the socket. */
const chunkBytes = 64 * 1024;
/** A value of this many bytes goes to the socket without being copied. */
const largeBytes = 16 * 1024;

const sync = Buffer.from([0x53, 0, 0, 0, 4]);
const copyDone = Buffer.from([0x63, 0, 0, 0, 4]);
/** Executes the unnamed portal to its end. */
const execute = Buffer.from([0x45, 0, 0, 0, 9, 0, 0, 0, 0, 0]);

/** A statement with parameters `$1`, `$2` …, whose types its text states. */
export interface Statement {
  readonly text: string;
  /** Values in PostgreSQL's binary format. */
  readonly values?: readonly Buffer[];
  /** COPY text for a `copy … from stdin`. */
  readonly lines?: readonly Buffer[];
}

/** The result of the statements behind one synchronization point. */
export interface Outcome {
  /** The rows that each statement wrote or returned, up to the first that failed. */
  readonly rows: readonly number[];
  /** The error of statement number `rows.length`. It holds row values, so only code may read it. */
  readonly error: Error | null;
}

/**
 * Many statements in one round trip, for `client.query`. They are sent in the extended protocol, each prepared once in a session, without
 * waiting for answers (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING). An error skips the rest of its
 * group and no other group. `done` gets the outcome of each group.
 */
export class Pipeline implements Submittable {
  readonly #client: Client;
  readonly #groups: Iterable<Iterable<Statement>>;
  readonly #prepared: PreparedStatements;
  readonly #done: (outcomes: readonly Outcome[]) => void;
  readonly #outcomes: Outcome[] = [];
  /** The texts of the statements sent, by group. */
  readonly #sent: string[][] = [];
  #rows: number[] = [];

  constructor(
    client: Client,
    groups: Iterable<Iterable<Statement>>,
    prepared: PreparedStatements,
    done: (outcomes: readonly Outcome[]) => void,
  ) {
    this.#client = client;
    this.#groups = groups;
    this.#prepared = prepared;
    this.#done = done;
  }

  submit({ stream }: Connection): void {
    // The first call has sent all groups.
    if (this.#sent.length > 0) return;
    const messages = new Messages(stream);
    for (const group of this.#groups) {
      const texts: string[] = [];
      this.#sent.push(texts);
      // What an earlier group prepares does not count, because an error may skip it.
      const prepared = new Set<string>();
      for (const statement of group) {
        texts.push(statement.text);
        this.#send(messages, statement, prepared);
      }
      messages.add(sync);
    }
    messages.flush();
  }

  #send(messages: Messages, { text, values = [], lines }: Statement, prepared: Set<string>): void {
    const { name, isNew, closes } = this.#prepared.use(text);
    if (isNew && !prepared.has(name)) {
      for (const old of closes) messages.close(old);
      messages.parse(name, text);
      prepared.add(name);
    }
    messages.bind(name, values);
    messages.add(execute);
    if (lines === undefined) return;
    for (const piece of lines) messages.copyData(piece);
    messages.add(copyDone);
  }

  // The client of pg calls these methods as the answers arrive.

  handleCopyInResponse(): void {
    // The data has already been sent.
  }

  handleDataRow(): void {
    // Only their number counts, and CommandComplete has it.
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    this.#prepared.confirm(this.#sent[this.#outcomes.length]?.[this.#rows.length] ?? '');
    const count = Number(text.slice(text.lastIndexOf(' ') + 1));
    this.#rows.push(Number.isNaN(count) ? 0 : count);
  }

  handleReadyForQuery(): void {
    this.#next(null);
  }

  /** After an error, pg handles the end of the exchange itself. */
  handleError(error: Error): void {
    this.#next(error);
  }

  /** pg treats each group as a query of its own, which ends with ReadyForQuery. So each group submits this object again. */
  #next(error: Error | null): void {
    this.#outcomes.push({ rows: this.#rows, error });
    this.#rows = [];
    if (this.#outcomes.length < this.#sent.length) this.#client.query(this);
    else this.#done(this.#outcomes);
  }
}

/** Messages to the server (https://www.postgresql.org/docs/current/protocol-message-formats.html). */
class Messages {
  readonly #stream: Writable;
  #bytes = Buffer.allocUnsafe(chunkBytes);
  #length = 0;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  flush(): void {
    if (this.#length === 0) return;
    this.#stream.write(this.#bytes.subarray(0, this.#length));
    // The socket may keep the chunk for a while.
    this.#bytes = Buffer.allocUnsafe(chunkBytes);
    this.#length = 0;
  }

  add(bytes: Buffer): void {
    if (this.#length + bytes.length > chunkBytes) this.flush();
    if (bytes.length >= largeBytes) {
      this.flush();
      this.#stream.write(bytes);
      return;
    }
    this.#length += bytes.copy(this.#bytes, this.#length);
  }

  close(name: string): void {
    this.#message('C', Buffer.from(`S${name}\0`));
  }

  parse(name: string, text: string): void {
    this.#message('P', Buffer.from(`${name}\0${text}\0\0\0`));
  }

  /** Binds binary values to the unnamed portal. */
  bind(name: string, values: readonly Buffer[]): void {
    const head = Buffer.from(`\0${name}\0\0\u0001\0\u0001\0\0`, 'latin1');
    head.writeUInt16BE(values.length, head.length - 2);
    const bytes = values.reduce((sum, value) => sum + 4 + value.length, head.length + 2);
    this.#head('B', bytes);
    this.add(head);
    for (const value of values) {
      this.#int32(value.length);
      this.add(value);
    }
    // All results have the text format.
    this.add(Buffer.from([0, 0]));
  }

  copyData(piece: Buffer): void {
    this.#head('d', piece.length);
    this.add(piece);
  }

  #message(type: string, body: Buffer): void {
    this.#head(type, body.length);
    this.add(body);
  }

  #head(type: string, bytes: number): void {
    if (this.#length + 5 > chunkBytes) this.flush();
    this.#bytes[this.#length++] = type.charCodeAt(0);
    this.#int32(bytes + 4);
  }

  #int32(value: number): void {
    if (this.#length + 4 > chunkBytes) this.flush();
    this.#length = this.#bytes.writeUInt32BE(value, this.#length);
  }
}
