import type { Conversion } from './conversion.ts';
import { LineBuffer } from './line-buffer.ts';
import type { RejectedRow } from './rejected-row.ts';
import type { TableSchema } from '../definition/table-schema.ts';

/** What an upsert was at the source, according to the stream. */
export type RowKind = 'insert' | 'update';

const deleted = -1;

/**
 * The net effect of a run of changes on one table: the last change of each key wins. A row is a line of COPY text in `lines`. A
 * key is the COPY text of its columns, joined by tabs. Keys are therefore unique under the type mapping, and byte-exact where the
 * source's collation is not.
 *
 * The other fields track byte ranges: slot i holds the line of one key at starts[i]..ends[i], or a deletion when starts[i] is -1.
 */
export class TableChanges {
  readonly schema: TableSchema;
  readonly lines = new LineBuffer(16 * 1024);
  readonly #slotOf = new Map<string, number>();
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  #deletes = 0;
  #liveBytes = 0;
  #keyBytes = 0;
  #rejectedBytes = 0;
  #truncated = false;
  #onlyInserts = true;
  /** Rows that cannot be written, the last one of each key. A later image of the key replaces it. */
  readonly #rejected = new Map<string, RejectedRow>();
  /** Conversions in the images read, by column and kind. */
  readonly conversions = new Map<string, Conversion>();

  constructor(schema: TableSchema) {
    this.schema = schema;
  }

  /** Records the line from `start` to the end of `lines` as the current row `key`. */
  upsert(kind: RowKind, key: string, start: number): void {
    if (this.#rejected.size > 0) this.#rejected.delete(key);
    const end = this.lines.length;
    const slot = this.#slotOf.get(key);
    if (slot === undefined) {
      if (kind === 'update') this.#onlyInserts = false;
      this.#add(key, start, end);
    } else {
      this.#forget(slot);
      this.#starts[slot] = start;
      this.#ends[slot] = end;
    }
    this.#liveBytes += end - start;
  }

  delete(key: string): void {
    if (this.#rejected.size > 0) this.#rejected.delete(key);
    this.#onlyInserts = false;
    const slot = this.#slotOf.get(key);
    if (slot === undefined) this.#add(key, deleted, 0);
    else {
      this.#forget(slot);
      this.#starts[slot] = deleted;
    }
    this.#deletes++;
  }

  /** Records that the current row `key` cannot be written. The batch keeps the last image of it that could be written. */
  reject(row: RejectedRow): void {
    this.#rejected.set(row.key, row);
    this.#rejectedBytes += row.row.length + row.key.length;
  }

  converted(conversions: readonly Conversion[]): void {
    for (const { column, kind, count } of conversions) {
      const name = `${kind} ${column}`;
      this.conversions.set(name, { column, kind, count: count + (this.conversions.get(name)?.count ?? 0) });
    }
  }

  /** Records that all earlier rows are gone, and drops the changes collected so far. */
  truncate(): void {
    this.#truncated = true;
    this.#onlyInserts = false;
    this.#slotOf.clear();
    this.#rejected.clear();
    this.#rejectedBytes = 0;
    this.#starts.length = 0;
    this.#ends.length = 0;
    this.#deletes = 0;
    this.#liveBytes = 0;
    this.#keyBytes = 0;
    this.lines.length = 0;
  }

  #add(key: string, start: number, end: number): void {
    this.#slotOf.set(key, this.#starts.length);
    this.#starts.push(start);
    this.#ends.push(end);
    this.#keyBytes += key.length;
  }

  /** Subtracts the state of a slot from the totals; the caller replaces it. */
  #forget(slot: number): void {
    const start = this.#starts[slot] as number;
    if (start === deleted) this.#deletes--;
    else this.#liveBytes -= (this.#ends[slot] as number) - start;
  }

  /** The target's rows must be deleted before anything else. */
  get truncated(): boolean {
    return this.#truncated;
  }

  /** No key of these changes was at the target before, provided that the stream is past the snapshot. */
  get onlyInserts(): boolean {
    return this.#onlyInserts;
  }

  get rejected(): Iterable<RejectedRow> {
    return this.#rejected.values();
  }

  get rejectedCount(): number {
    return this.#rejected.size;
  }

  /** Whether these changes include the row `key`, written or deleted. */
  has(key: string): boolean {
    return this.#slotOf.has(key);
  }

  get keys(): Iterable<string> {
    return this.#slotOf.keys();
  }

  get keyCount(): number {
    return this.#slotOf.size;
  }

  get deleteCount(): number {
    return this.#deletes;
  }

  get upsertCount(): number {
    return this.#starts.length - this.#deletes;
  }

  /** Bytes held, including keys and bookkeeping; back-pressure counts them. */
  get size(): number {
    return this.lines.length + this.#keyBytes + this.#starts.length * 64 + this.#rejectedBytes;
  }

  /** The rows to write, as COPY text. It is returned without a copy if no line was overwritten. */
  upsertLines(): Buffer {
    const { bytes, length } = this.lines;
    if (this.#liveBytes === length) return bytes.subarray(0, length);
    const packed = Buffer.allocUnsafe(this.#liveBytes);
    let at = 0;
    for (let slot = 0; slot < this.#starts.length; slot++) {
      const start = this.#starts[slot] as number;
      if (start !== deleted) at += bytes.copy(packed, at, start, this.#ends[slot]);
    }
    return packed;
  }

  /** The keys to delete, each the COPY text of its columns. */
  deletedKeys(): string[] {
    const keys: string[] = [];
    if (this.#deletes === 0) return keys;
    for (const [key, slot] of this.#slotOf) if (this.#starts[slot] === deleted) keys.push(key);
    return keys;
  }
}
