import { EventEmitter } from 'node:events';
import type { Connection } from 'mysql2';
import { fromCopyText } from '../../change/copy-text.ts';
import type { Conversion } from '../../change/conversion.ts';
import { LineBuffer } from '../../change/line-buffer.ts';
import { type RejectedRow, mostRowBytes, tooLarge } from '../../change/rejected-row.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { Codec } from '../../mapping/codec.ts';
import { InvalidValue } from '../../mapping/invalid-value.ts';
import type { ConversionJournal, TableCodec } from '../../mapping/table-codec.ts';
import { readLengthEncoded } from './length-encoded.ts';

/** The limits at which reading stops, whatever the query asked for. */
export interface ReadLimits {
  readonly bytes: number;
  /** Milliseconds since the result started to arrive. Before that the server waits for its turn and blocks nobody. */
  readonly ms: number;
}

interface Packet {
  readonly buffer: Buffer;
  readonly offset: number;
  readonly end: number;
  isError(): boolean;
  asError(encoding: string): Error;
}

interface CommandConnection {
  _resetSequenceId(): void;
  writePacket(packet: object): void;
}

type Step = (packet: Packet, connection: CommandConnection) => Step | null;

/**
 * A text-protocol query as mysql2 runs commands, except that rows stay bytes
 * (https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset.html).
 */
export class RowPackets extends EventEmitter {
  rows = 0;
  cut = false;
  readonly rejected: RejectedRow[] = [];
  rejectedBytes = 0;
  readonly converted = new Map<number, readonly Conversion[]>();
  readonly onResult: (error: Error | null) => void;
  readonly #query: string;
  readonly #codecs: readonly Codec[];
  readonly #table: string;
  readonly #names: readonly string[];
  readonly #key: readonly number[];
  readonly #out: LineBuffer;
  readonly #limits: ReadLimits;
  readonly #journal: ConversionJournal | null;
  #startedAt = 0;
  readonly #starts: number[];
  readonly #ends: number[];
  #lastRow: Buffer | null = null;
  #columnsLeft = 0;
  #next: Step | null = null;
  #done = false;

  constructor(
    query: string,
    codec: TableCodec,
    out: LineBuffer,
    limits: ReadLimits,
    journal: ConversionJournal | null,
    onResult: (error: Error | null) => void,
  ) {
    super();
    this.#query = query;
    this.#codecs = codec.codecs;
    this.#table = codec.schema.table;
    this.#names = codec.schema.columns.map(({ name }) => name);
    this.#key = codec.schema.primaryKey;
    this.#out = out;
    this.#limits = limits;
    this.#journal = journal;
    this.#starts = codec.codecs.map(() => 0);
    this.#ends = codec.codecs.map(() => 0);
    this.onResult = (error) => {
      if (this.#done) return;
      this.#done = true;
      onResult(error);
    };
  }

  /** mysql2 calls this without a packet to start the command, then with each packet. True ends the command. */
  execute(packet: Packet | null | undefined, connection: CommandConnection): boolean {
    if (packet === undefined || packet === null) {
      connection._resetSequenceId();
      this.#send(connection);
      this.#next = this.#columnCount;
      return false;
    }
    if (this.#done) return true;
    if (packet.isError()) {
      this.onResult(packet.asError('utf8'));
      return true;
    }
    try {
      this.#next = this.#next?.call(this, packet, connection) ?? null;
    } catch (error) {
      if (error instanceof InvalidValue) this.onResult(this.#refused(`a key cannot be read: ${error.reason}`));
      else if (error instanceof TidegateError) this.onResult(error);
      else if (error instanceof RangeError) this.onResult(damaged(error));
      // A value could not be read as its type: the schema differs from the source. Print nothing of the row.
      else this.onResult(new TidegateError('internal', 'a row packet could not be read', { cause: error }));
      return true;
    }
    if (this.#next !== null) return false;
    this.onResult(null);
    return true;
  }

  #send(connection: CommandConnection): void {
    const text = Buffer.from(this.#query, 'utf8');
    const buffer = Buffer.concat([Buffer.of(0, 0, 0, 0, 0x03), text]);
    connection.writePacket({
      buffer,
      offset: 4,
      length: () => buffer.length,
      writeHeader: (sequence: number) => {
        buffer.writeUIntLE(buffer.length - 4, 0, 3);
        buffer[3] = sequence;
      },
    });
  }

  #columnCount({ buffer, offset, end }: Packet): Step {
    // A server may request a file of this machine instead, and then wait for it.
    if (buffer[offset] === 0xfb) throw new TidegateError('refused', 'the source asked for a file of this machine');
    if (readLengthEncoded(buffer.subarray(0, end), offset).value !== this.#codecs.length)
      throw new RangeError('not the columns that were asked for');
    this.#startedAt = performance.now();
    this.#columnsLeft = this.#codecs.length;
    return this.#columnDefinition;
  }

  #columnDefinition(): Step {
    this.#columnsLeft--;
    return this.#columnsLeft > 0 ? this.#columnDefinition : this.#columnsEnd;
  }

  #columnsEnd(): Step {
    return this.#row;
  }

  #row(packet: Packet): Step | null {
    const { buffer, end } = packet;
    const at = packet.offset;
    if (buffer[at] === 0xfe && end - at < 9) return null;
    this.rows++;
    this.#lastRow = buffer;
    const out = this.#out;
    const from = out.length;
    let invalid: { readonly reason: string; readonly column: string | null } | null = null;
    let row: Buffer = Buffer.alloc(0);
    try {
      let bytes = end - at;
      if (bytes <= mostRowBytes) {
        this.#line(buffer, at, end, out);
        bytes = out.length - from;
      }
      if (bytes > mostRowBytes) invalid = { reason: tooLarge(bytes), column: null };
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
      invalid = error;
      row = Buffer.from(buffer.subarray(at, end));
    }
    if (invalid === null) {
      if (this.#journal !== null) this.#note(this.#journal.next());
    } else {
      out.length = from;
      const { reason, column } = invalid;
      this.rejected.push({
        key: this.#keyText(buffer, at, end),
        reason,
        column,
        sqlState: null,
        row,
        format: 'packet',
      });
      this.#journal?.next();
      this.rejectedBytes += row.length;
    }
    if (out.length + this.rejectedBytes < this.#limits.bytes && !this.#isLate()) return this.#row;
    this.cut = true;
    return null;
  }

  #refused(reason: string): TidegateError {
    return new TidegateError('target-refused', `table ${this.#table}: ${reason}`, { table: this.#table });
  }

  /** Checks the time only every 16 rows, because reading the clock costs as much as reading a column. */
  #isLate(): boolean {
    return this.rows % 16 === 0 && performance.now() - this.#startedAt > this.#limits.ms;
  }

  #note(conversions: readonly Conversion[]): void {
    if (conversions.length > 0) this.converted.set(this.rows - this.rejected.length - 1, conversions);
  }

  /** Writes a row packet as a line and records where its values are. */
  #line(buffer: Buffer, at: number, end: number, out: LineBuffer): void {
    const codecs = this.#codecs;
    let i = 0;
    try {
      for (; i < codecs.length; i++) {
        if (i > 0) out.tab();
        let length = buffer[at++] as number;
        if (length === 0xfb) {
          out.null();
          continue;
        }
        if (length === 0xfc) {
          length = buffer.readUInt16LE(at);
          at += 2;
        } else if (length === 0xfd) {
          length = buffer.readUIntLE(at, 3);
          at += 3;
        } else if (length === 0xfe) {
          length = Number(buffer.readBigUInt64LE(at));
          at += 8;
        }
        this.#starts[i] = at;
        at += length;
        if (!(at <= end)) throw new RangeError(tooShort);
        this.#ends[i] = at;
        (codecs[i] as Codec).fromText(buffer, at - length, at, out);
      }
    } catch (error) {
      if (error instanceof InvalidValue) error.column = this.#names[i] ?? null;
      throw error;
    }
    out.newline();
  }

  /** The key of a row packet. Raises InvalidValue if it cannot be read. */
  #keyText(buffer: Buffer, start: number, end: number): string {
    this.#locate(buffer, start, end);
    const scratch = new LineBuffer(256);
    for (const [ordinal, index] of this.#key.entries()) {
      if (ordinal > 0) scratch.tab();
      (this.#codecs[index] as Codec).fromText(
        buffer,
        this.#starts[index] as number,
        this.#ends[index] as number,
        scratch,
      );
    }
    return scratch.bytes.toString('latin1', 0, scratch.length);
  }

  /** Records where each value of a row packet is, whatever the values are. */
  #locate(buffer: Buffer, at: number, end: number): void {
    for (let i = 0; i < this.#codecs.length; i++) {
      if (buffer[at] === 0xfb) {
        at++;
        continue;
      }
      const { value, next } = readLengthEncoded(buffer, at);
      this.#starts[i] = next;
      at = next + value;
      if (!(at <= end)) throw new RangeError(tooShort);
      this.#ends[i] = at;
    }
  }

  lastKeyText(): string[] | null {
    const row = this.#lastRow;
    if (row === null) return null;
    return this.#key.map((column) => {
      const scratch = new LineBuffer(256);
      this.#codecs[column]?.fromText(row, this.#starts[column] as number, this.#ends[column] as number, scratch);
      return fromCopyText(scratch.bytes.toString('utf8', 0, scratch.length)) ?? '';
    });
  }

  lastKey(): string[] | null {
    const row = this.#lastRow;
    if (row === null) return null;
    return this.#key.map((column) => {
      const literal = this.#codecs[column]?.keyLiteral;
      if (literal === undefined) throw new TidegateError('internal', 'a key column cannot bound a chunk');
      return literal(row, this.#starts[column] as number, this.#ends[column] as number);
    });
  }
}

const tooShort = 'a row packet ends within a value';

/** The next connection may bring the packet whole. */
function damaged(cause: RangeError): TidegateError {
  return new TidegateError('source-unreachable', 'source (reader): a packet arrived that contradicts itself', {
    cause,
  });
}

/** Queues the command on a connection. mysql2 has no public method for that. */
export function sendRowPackets(connection: Connection, command: RowPackets): void {
  (connection as unknown as { addCommand(command: RowPackets): void }).addCommand(command);
}
