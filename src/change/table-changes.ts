import type { Conversion } from './conversion.ts';
import { LineBuffer } from './line-buffer.ts';
import type { RejectedRow } from './rejected-row.ts';
import type { TableSchema } from '../definition/table-schema.ts';

/** What an upsert was at the source, according to the stream. */
export type RowKind = 'insert' | 'update';

const deleted = -1;
/** What a rejected row takes beside its bytes. */
const rejectionBytes = 256;

/** The totals of the changes at the start of a source transaction. */
interface Mark {
  readonly slots: number;
  readonly length: number;
  readonly liveBytes: number;
  readonly deletes: number;
  readonly keyBytes: number;
  readonly rejectedBytes: number;
  readonly onlyInserts: boolean;
}

const empty: Mark = {
  ...{ slots: 0, length: 0, liveBytes: 0, deletes: 0, keyBytes: 0, rejectedBytes: 0, onlyInserts: true },
};

/**
 * The net effect of a run of changes on one table: the last change of each key wins. A row is a line of COPY text in `lines`. A
 * key is the COPY text of its columns, joined by tabs. Keys are therefore unique under the type mapping, and byte-exact where the
 * source's collation is not.
 *
 * The other fields track byte ranges: slot i holds the line of one key at starts[i]..ends[i], or a deletion when starts[i] is -1.
 *
 * Lines are only appended, so an earlier image stays readable until the batch is applied. `splitOff` uses this: it needs the totals
 * at the start of the open transaction and the slots that the transaction overwrote, and nothing else.
 */
export class TableChanges {
  readonly schema: TableSchema;
  readonly lines = new LineBuffer(2 * 1024);
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
  /** The transactions that changed this table first and last, by their numbers in the batch. */
  #firstTransaction = -1;
  #lastTransaction = -1;
  #mark = empty;
  /** Slot, start and end of each image before the mark that was overwritten after it, oldest first. */
  readonly #overwritten: number[] = [];
  /** The rejected rows and conversions at the mark, as far as they have changed since. */
  #rejectedBefore: Map<string, RejectedRow | undefined> | null = null;
  #conversionsBefore: ReadonlyMap<string, Conversion> | null = null;
  #onlyInsertsSince = true;

  constructor(schema: TableSchema) {
    this.schema = schema;
  }

  /** Transaction `number` of the batch changes this table, so that `splitOff` can take its changes out again. */
  mark(number: number): void {
    if (number === this.#lastTransaction) return;
    if (this.#firstTransaction < 0) this.#firstTransaction = number;
    this.#lastTransaction = number;
    this.#mark = {
      slots: this.#starts.length,
      length: this.lines.length,
      liveBytes: this.#liveBytes,
      deletes: this.#deletes,
      keyBytes: this.#keyBytes,
      rejectedBytes: this.#rejectedBytes,
      onlyInserts: this.#onlyInserts,
    };
    if (this.#overwritten.length > 0) this.#overwritten.length = 0;
    this.#rejectedBefore = null;
    this.#conversionsBefore = null;
    this.#onlyInsertsSince = true;
  }

  /** Records the line from `start` to the end of `lines` as the current row `key`. */
  upsert(kind: RowKind, key: string, start: number): void {
    if (this.#rejected.size > 0) this.#unreject(key);
    const end = this.lines.length;
    const slot = this.#slotOf.get(key);
    if (slot === undefined) {
      if (kind === 'update') this.#onlyInserts = this.#onlyInsertsSince = false;
      this.#add(key, start, end);
    } else {
      this.#forget(slot);
      this.#starts[slot] = start;
      this.#ends[slot] = end;
    }
    this.#liveBytes += end - start;
  }

  delete(key: string): void {
    if (this.#rejected.size > 0) this.#unreject(key);
    this.#onlyInserts = this.#onlyInsertsSince = false;
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
    this.#remember(row.key);
    this.#rejected.set(row.key, row);
    this.#rejectedBytes += row.row.length + row.key.length + rejectionBytes;
  }

  converted(conversions: readonly Conversion[]): void {
    if (conversions.length > 0) this.#conversionsBefore ??= new Map(this.conversions);
    for (const { column, kind, count } of conversions) {
      const name = `${kind} ${column}`;
      this.conversions.set(name, { column, kind, count: count + (this.conversions.get(name)?.count ?? 0) });
    }
  }

  /** Records that all earlier rows are gone, and drops the changes collected so far. */
  truncate(): void {
    this.#truncated = true;
    this.#mark = empty;
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

  #unreject(key: string): void {
    if (!this.#rejected.has(key)) return;
    this.#remember(key);
    this.#rejected.delete(key);
  }

  #remember(key: string): void {
    this.#rejectedBefore ??= new Map();
    if (!this.#rejectedBefore.has(key)) this.#rejectedBefore.set(key, this.#rejected.get(key));
  }

  /** Subtracts the state of a slot from the totals; the caller replaces it. */
  #forget(slot: number): void {
    const start = this.#starts[slot] as number;
    if (slot < this.#mark.slots) this.#overwritten.push(slot, start, this.#ends[slot] as number);
    if (start === deleted) this.#deletes--;
    else this.#liveBytes -= (this.#ends[slot] as number) - start;
  }

  /** Whether transaction `number` was the first one to change this table in this batch. */
  isNewIn(number: number): boolean {
    return this.#firstTransaction === number;
  }

  /**
   * Takes out the changes of transaction `number`, which must be the last one, and returns them; null: it has none here. What stays is
   * the state at the start of that transaction.
   */
  splitOff(number: number): TableChanges | null {
    if (number !== this.#lastTransaction) return null;
    const { slots, length, onlyInserts, ...totals } = this.#mark;
    const part = new TableChanges(this.schema);
    const overwritten = new Set<number>();
    for (let at = 0; at < this.#overwritten.length; at += 3) overwritten.add(this.#overwritten[at] as number);
    for (const [key, slot] of this.#slotOf) {
      if (slot < slots && !overwritten.has(slot)) continue;
      part.#copy(key, this.lines, this.#starts[slot] as number, this.#ends[slot] as number);
      if (slot >= slots) this.#slotOf.delete(key);
    }
    // A key that this transaction found in the batch may be at the target, even if the transaction inserted it.
    part.#onlyInserts = overwritten.size === 0 && this.#onlyInsertsSince;
    for (const [key, before] of this.#rejectedBefore ?? []) {
      const row = this.#rejected.get(key);
      if (row !== undefined && row !== before) part.reject(row);
      if (before === undefined) this.#rejected.delete(key);
      else this.#rejected.set(key, before);
    }
    this.#splitConversions(part);
    // Backwards, so that the oldest image of a slot remains.
    for (let at = this.#overwritten.length - 3; at >= 0; at -= 3) {
      const slot = this.#overwritten[at] as number;
      this.#starts[slot] = this.#overwritten[at + 1] as number;
      this.#ends[slot] = this.#overwritten[at + 2] as number;
    }
    this.#starts.length = this.#ends.length = slots;
    this.lines.length = length;
    this.#onlyInserts = onlyInserts;
    this.#liveBytes = totals.liveBytes;
    this.#deletes = totals.deletes;
    this.#keyBytes = totals.keyBytes;
    this.#rejectedBytes = totals.rejectedBytes;
    return part;
  }

  /** The open transaction goes on in the next batch. It is number 0 there, and these changes are all its own. */
  continueInNextBatch(): void {
    this.#firstTransaction = this.#lastTransaction = 0;
    this.#mark = empty;
    this.#overwritten.length = 0;
    this.#rejectedBefore = null;
    this.#conversionsBefore = null;
  }

  /** Adds a row with its line from another buffer; `start` as in a slot. */
  #copy(key: string, { bytes }: LineBuffer, start: number, end: number): void {
    if (start === deleted) {
      this.delete(key);
      return;
    }
    const { lines } = this;
    const from = lines.length;
    lines.reserve(end - start);
    lines.length += bytes.copy(lines.bytes, from, start, end);
    this.upsert('insert', key, from);
  }

  #splitConversions(part: TableChanges): void {
    const before = this.#conversionsBefore;
    if (before === null) return;
    for (const [name, { count, ...what }] of this.conversions) {
      const more = count - (before.get(name)?.count ?? 0);
      if (more > 0) part.conversions.set(name, { ...what, count: more });
    }
    this.conversions.clear();
    for (const [name, conversion] of before) this.conversions.set(name, conversion);
  }

  /** Nothing to write. */
  get isEmpty(): boolean {
    return this.#slotOf.size === 0 && this.#rejected.size === 0 && !this.#truncated && this.conversions.size === 0;
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
