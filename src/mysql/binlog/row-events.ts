import type { ChangeBatch } from '../../change/change-batch.ts';
import { LineBuffer } from '../../change/line-buffer.ts';
import { type Position, formatPosition } from '../../change/position.ts';
import { mostRowBytes, rowTooLarge } from '../../change/rejected-row.ts';
import type { TableChanges } from '../../change/table-changes.ts';
import { InvalidValue } from '../../mapping/invalid-value.ts';
import { convertedKeyColumn, takeConversions } from '../../mapping/table-codec.ts';
import { inflate } from './event-bodies.ts';
import type { RowsForm } from './event-header.ts';
import { readLengthEncoded } from '../wire/length-encoded.ts';
import { RowReader } from './row-reader.ts';
import { type Dependent, type StreamTable, type StreamTables, isNewTo } from './stream-tables.ts';
import { type TableMap, readTableMap, tableIdAt } from './table-map.ts';

/** Ids that are remembered beyond their transaction. */
const mostMapped = 10_000;
/** In a TABLE_MAP, what comes before the names: an id and flags. */
const namesAt = 8;

/** Who collects what the decoder reads. */
export interface BatchFiller {
  /** The batch to write to now; it may be another one after `boundary` or `grown`. */
  readonly batch: ChangeBatch;
  /** A transaction ended, or the position moved while none was open. */
  boundary(): void;
  /** Rows were added in the midst of a transaction. */
  grown(): void;
}

/**
 * A TABLE_MAP, with the reader compiled for it; null: rows of this table are not wanted. A table that is opened anew gets another id, but
 * no other reader while it is described alike.
 */
interface MappedTable {
  /** From its names on. */
  readonly description: Buffer;
  readonly map: TableMap;
  readonly table: StreamTable | null;
  reader: RowReader | null;
  /** Tables that rows deleted or changed here may change without a trace. */
  readonly dependents: readonly Dependent[];
}

/** The transaction that rows belong to. */
export interface RowGroup {
  /** Where it begins. */
  readonly start: Position;
  /** It is an XA transaction, decided after its rows were logged. */
  readonly isXa: boolean;
}

/**
 * TABLE_MAP and row events: finds the table, has its reader compiled, and puts the rows into the batch as lines. A table whose
 * rows cannot be read exactly is suspended: nothing of it is read any more.
 *
 * Raises RangeError where an event contradicts itself.
 */
export class RowEvents {
  readonly #tables: StreamTables;
  readonly #filler: BatchFiller;
  readonly #mapped = new Map<number, MappedTable>();
  /** As each table was described last. */
  readonly #described = new Map<string, MappedTable>();
  readonly #scratch = new LineBuffer(4096);
  /** Tables that the open transaction changed. */
  readonly #touched = new Set<StreamTable>();

  constructor(tables: StreamTables, filler: BatchFiller) {
    this.#tables = tables;
    this.#filler = filler;
  }

  /** A transaction begins. */
  begin(): void {
    this.#touched.clear();
    // Ids grow for ever; only those of this server's open tables matter. What a transaction maps, it may name until it ends.
    if (this.#mapped.size <= mostMapped) return;
    this.#mapped.clear();
    this.#described.clear();
  }

  /** Remembers the table that the next row events mean. */
  mapTable(source: Buffer, body: number, end: number): void {
    const id = tableIdAt(source, body);
    const isAlike = (known: MappedTable | undefined) =>
      known !== undefined && known.description.compare(source, body + namesAt, end) === 0;
    if (isAlike(this.#mapped.get(id))) return;
    const map = readTableMap(source, body);
    const name = JSON.stringify([map.database, map.table]);
    let mapped = this.#described.get(name);
    if (mapped === undefined || !isAlike(mapped)) {
      mapped = {
        description: Buffer.from(source.subarray(body + namesAt, end)),
        map,
        table: this.#tables.find(map.database, map.table) ?? null,
        reader: null,
        dependents: this.#tables.dependents(map.database, map.table),
      };
      this.#described.set(name, mapped);
    }
    this.#mapped.set(id, mapped);
  }

  /** Adds the rows of an event, `body` to `end`, to the batch. */
  rows(form: RowsForm, source: Buffer, body: number, end: number, group: RowGroup): void {
    const mapped = this.#mapped.get(tableIdAt(source, body));
    if (mapped === undefined) throw new RangeError('a row event names a table that was not introduced');
    const isUpdate = form.change === 'update';
    const isDelete = form.change === 'delete';
    for (const dependent of mapped.dependents) {
      const { constraint, onDelete, onUpdate } = dependent.cascade;
      const isFollowed = isDelete ? onDelete : isUpdate && onUpdate && !refersToKey(dependent, mapped.table);
      if (isFollowed || constraint === null) this.#suspendDependent(dependent, mapped.map, group);
    }
    const table = this.#carried(mapped, group);
    if (table === null) {
      // Unread, its keys may have changed.
      for (const dependent of mapped.dependents)
        if (isUpdate && dependent.cascade.onUpdate) this.#suspendDependent(dependent, mapped.map, group);
      return;
    }

    if (mapped.reader === null) return;
    const start = body + 8 + (form.hasExtra ? source.readUInt16LE(body + 8) : 0);
    const columns = readLengthEncoded(source, start);
    const bitmapBytes = (columns.value + 7) >> 3;
    const at = columns.next + bitmapBytes * (isUpdate ? 2 : 1);
    const readers =
      columns.value === mapped.reader.columnCount ? imageReaders(mapped.reader, source, columns.next, isUpdate) : null;
    if (readers === null) {
      this.suspend(
        table,
        'a row image is not full: some session has another binlog_row_image, or the server leaves generated columns out',
        group.start,
      );
      return;
    }

    const { batch } = this.#filler;
    const changes = batch.changes(table.codec.schema);
    const sizeBefore = changes.size;
    const images = form.isCompressed ? inflate(source, at, end) : source.subarray(at, end);
    const unsound = this.#readRows(readers, images, changes, isUpdate, isDelete, (oldKey) => {
      changes.delete(oldKey);
      for (const dependent of mapped.dependents)
        if (dependent.cascade.onUpdate) this.#suspendDependent(dependent, mapped.map, group);
    });
    const keyColumn = convertedKeyColumn(table.codec);
    changes.converted(takeConversions(table.codec));
    batch.size += changes.size - sizeBefore;
    if (unsound !== null) this.suspend(table, unsound, group.start);
    else if (keyColumn !== null)
      this.suspend(
        table,
        `a value of key column ${keyColumn} cannot be held by PostgreSQL as it is, so that two rows could become one`,
        group.start,
      );
    this.#filler.grown();
  }

  /** Returns why a row can be neither carried nor set aside, if that is so: then the rows from there on are left. */
  #readRows(
    { before, after }: ImageReaders,
    source: Buffer,
    changes: TableChanges,
    isUpdate: boolean,
    isDelete: boolean,
    onKeyChanged: (oldKey: string) => void,
  ): string | null {
    const { batch } = this.#filler;
    const { lines } = changes;
    const scratch = this.#scratch;
    const end = source.length;
    let at = 0;
    try {
      while (at < end) {
        batch.rows++;
        if (isDelete) {
          at = before.readKey(source, at, scratch);
          changes.delete(before.keyOf(scratch));
          continue;
        }
        let oldKey: string | null = null;
        if (isUpdate) {
          at = before.readKey(source, at, scratch);
          oldKey = before.keyOf(scratch);
        }
        const from = lines.length;
        const rowAt = at;
        let invalid: InvalidValue | null = null;
        let key: string;
        try {
          at = after.read(source, rowAt, lines);
          key = after.keyOf(lines);
        } catch (error) {
          if (!(error instanceof InvalidValue)) throw error;
          invalid = error;
          lines.length = from;
          at = after.readKey(source, rowAt, scratch);
          key = after.keyOf(scratch);
        }
        // A key that changes only its case is another key here, whatever the source's collation says.
        if (oldKey !== null && oldKey !== key) onKeyChanged(oldKey);
        if (invalid === null) {
          if (lines.length - from > mostRowBytes) return rowTooLarge;
          changes.upsert(isUpdate ? 'update' : 'insert', key, from);
        } else {
          const { reason, column } = invalid;
          const row = after.copy(source, rowAt, at);
          if (row.length > mostRowBytes) return rowTooLarge;
          changes.reject({ key, reason, column, sqlState: null, row, format: 'image' });
        }
      }
    } catch (error) {
      if (error instanceof InvalidValue) return `a key cannot be read: ${error.reason}`;
      throw error;
    }
    if (at !== end) throw new RangeError(`a row event of table ${changes.schema.table} does not end with its last row`);
    return null;
  }

  /** The table whose rows these are, ready to be read; null when they are not wanted. */
  #carried(mapped: MappedTable, group: RowGroup): StreamTable | null {
    const { table } = mapped;
    // Looked up again: it may have been suspended since it was mapped.
    if (table === null || this.#tables.find(mapped.map.database, mapped.map.table) !== table) return null;
    if (!isNewTo(table, group.start)) return null;
    if (group.isXa) {
      this.suspend(table, 'an XA transaction changed it; those are not carried', group.start);
      return null;
    }
    if (mapped.reader === null) {
      const reader = RowReader.compile(table.codec, mapped.map);
      if (typeof reader === 'string') {
        this.suspend(table, reader, group.start);
        return null;
      }
      mapped.reader = reader;
    }
    this.#touched.add(table);
    return table;
  }

  /**
   * A row that others follow was deleted or got another key: what InnoDB did to theirs is not in the binlog, and whether it did
   * anything cannot be told from here.
   */
  #suspendDependent({ table, cascade }: Dependent, parent: TableMap, group: RowGroup): void {
    if (!this.#tables.has(table) || !isNewTo(table, group.start)) return;
    const reason =
      cascade.constraint === null
        ? `rows were changed through MERGE table ${parent.table}, which the source does not log as changes of this one`
        : `rows of ${parent.table} changed that its foreign key ${cascade.constraint} follows, which the source does not log`;
    this.suspend(table, reason, group.start);
    // What it lost by this may have changed others in turn.
    for (const next of this.#tables.dependents(parent.database, table.codec.schema.table))
      this.#suspendDependent(next, { ...parent, table: table.codec.schema.table }, group);
  }

  /** Suspends every table that the open transaction changed so far. */
  suspendTouched(reason: string, at: Position): void {
    for (const table of this.#touched) this.suspend(table, reason, at);
  }

  suspend(table: StreamTable, reason: string, at: Position): void {
    this.#tables.remove(table);
    this.#filler.batch.suspended.set(table.codec.schema.table, `${reason}; at ${formatPosition(at)}`);
  }
}

/** Whether a foreign key follows exactly the key of a replicated parent, so that only a change of it matters. */
function refersToKey({ cascade }: Dependent, parent: StreamTable | null): boolean {
  if (parent === null) return false;
  const { columns, primaryKey } = parent.codec.schema;
  const key = primaryKey.map((index) => columns[index]?.name.toLowerCase());
  return cascade.columns.every((column) => key.includes(column.toLowerCase()));
}

/** Readers for the images of an event: of a row before it, and after; the same where there is one. */
interface ImageReaders {
  readonly before: RowReader;
  readonly after: RowReader;
}

/** By the bitmaps, at `at`, of the columns that are present; null: one is not that is carried. */
function imageReaders(reader: RowReader, source: Buffer, at: number, isUpdate: boolean): ImageReaders | null {
  const before = reader.holding(source, at);
  const after = isUpdate ? reader.holding(source, at + ((reader.columnCount + 7) >> 3)) : before;
  return before === null || after === null ? null : { before, after };
}
