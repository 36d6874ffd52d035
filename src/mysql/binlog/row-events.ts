import type { ChangeBatch } from '../../change/change-batch.ts';
import { addedLimit } from '../../change/expansion.ts';
import { LineBuffer } from '../../change/line-buffer.ts';
import type { Position } from '../../change/position.ts';
import { mostRowBytes, tooLarge } from '../../change/rejected-row.ts';
import type { TableChanges } from '../../change/table-changes.ts';
import { roomFor } from '../../lifetime/memory.ts';
import { binlogType } from '../../mapping/binlog-types.ts';
import { InvalidValue } from '../../mapping/invalid-value.ts';
import { convertedKeyColumn, takeConversions } from '../../mapping/table-codec.ts';
import { inflate } from './event-bodies.ts';
import type { GroupHistory } from './group-history.ts';
import type { RowsForm } from './event-header.ts';
import { readLengthEncoded } from '../wire/length-encoded.ts';
import { RowReader } from './row-reader.ts';
import { type Dependent, type StreamTable, type StreamTables, isNewTo } from './stream-tables.ts';
import { type TableMap, mostColumns, readTableMap, tableIdAt } from './table-map.ts';

/** Number of table ids above which all are forgotten when a transaction starts. */
const mostMapped = 10_000;
/** Table ids, and bytes of descriptions, that a single transaction may use. */
const mostOpen = 200_000;
const mostDescribedBytes = roomFor(1 / 10, 16 * 1024 * 1024);
/** Offset of the names in a TABLE_MAP. The table id and flags come before them. */
const namesAt = 8;
const none = Buffer.alloc(0);

/** Collects what the decoder reads. */
export interface BatchFiller {
  /** The batch to write to now. It may be another one after `boundary` or `grown`. */
  readonly batch: ChangeBatch;
  /** A transaction ended, or the position moved while none was open. */
  boundary(): void;
  /** Rows were added in the middle of a transaction. */
  grown(): void;
  /** The open transaction never ends: the source crashed while it wrote it to the binlog, and does not have it. */
  cutOff(): void;
}

/**
 * A TABLE_MAP, with the reader compiled for it. A table that the server opens again gets another id. It keeps its reader while its
 * description is the same.
 */
interface MappedTable {
  /** The bytes of the TABLE_MAP from its names on. */
  readonly description: Buffer;
  readonly map: TableMap;
  /** Null: the stream does not read this table. */
  readonly table: StreamTable | null;
  reader: RowReader | null;
  /** It is of the source database, so its rows are compared when they are sent again. */
  readonly isOurs: boolean;
  /** Tables that may change without a log entry when rows are deleted or changed here. */
  readonly dependents: readonly Dependent[];
}

/** The transaction that rows belong to. */
export interface RowGroup {
  /** Where it starts. */
  readonly start: Position;
  /** It is an XA transaction, which is decided after its rows were logged. */
  readonly isXa: boolean;
  /** Seconds since 1970 by the source's clock. */
  readonly at: number;
}

/**
 * Reads TABLE_MAP and row events: finds the table, compiles its reader, and adds the rows to the batch as lines. A table whose rows cannot
 * be read exactly is suspended: no more of its rows are read.
 *
 * Raises RangeError if an event contradicts itself.
 */
export class RowEvents {
  readonly #tables: StreamTables;
  readonly #filler: BatchFiller;
  readonly #history: GroupHistory;
  readonly #mapped = new Map<number, MappedTable>();
  /** The last description of each table. */
  readonly #described = new Map<string, MappedTable>();
  readonly #scratch = new LineBuffer(4096);
  /** Bytes that the event that was received last may add to the batch, and those that it has added. */
  #addable = 0;
  #added = 0;
  /** Bytes of the descriptions that are remembered. */
  #describedBytes = 0;
  /** Tables that the open transaction changed. */
  readonly #changed = new Set<StreamTable>();

  constructor(tables: StreamTables, filler: BatchFiller, history: GroupHistory) {
    this.#tables = tables;
    this.#filler = filler;
    this.#history = history;
  }

  /** A transaction starts. */
  begin(): void {
    this.#changed.clear();
    // Table ids grow without bound, and only those of open tables are still used. A transaction may use the ids it mapped until it ends.
    if (this.#mapped.size <= mostMapped && this.#describedBytes <= mostDescribedBytes / 2) return;
    this.#mapped.clear();
    this.#described.clear();
    this.#describedBytes = 0;
  }

  /** An event of so many bytes begins. It may be a compressed transaction of many row events. */
  received(bytes: number): void {
    this.#addable = addedLimit(bytes);
    this.#added = 0;
  }

  /** Remembers the table that the next row events name by its id. */
  mapTable(source: Buffer, body: number): void {
    const id = tableIdAt(source, body);
    const isAlike = (known: MappedTable | undefined) =>
      known !== undefined && known.description.compare(source, body + namesAt) === 0;
    if (isAlike(this.#mapped.get(id))) return;
    const map = readTableMap(source, body);
    const name = JSON.stringify([map.database, map.table]);
    let mapped = this.#described.get(name);
    if (mapped === undefined || !isAlike(mapped)) {
      mapped = {
        description: Buffer.from(source.subarray(body + namesAt)),
        map,
        table: this.#tables.find(map.database, map.table) ?? null,
        reader: null,
        isOurs: this.#tables.isOurs(map.database),
        dependents: this.#tables.dependents(map.database, map.table),
      };
      this.#described.set(name, mapped);
      this.#describedBytes += mapped.description.length;
    }
    this.#mapped.set(id, mapped);
    if (this.#mapped.size > mostOpen || this.#describedBytes > mostDescribedBytes)
      throw new RangeError('a transaction names more tables than the memory allows');
  }

  /** Adds the rows of an event, whose body begins at `body`, to the batch. */
  rows(form: RowsForm, source: Buffer, body: number, group: RowGroup): void {
    const mapped = this.#mapped.get(tableIdAt(source, body));
    if (mapped === undefined) throw new RangeError('a row event names a table that was not introduced');
    const isUpdate = form.change === 'update';
    const isDelete = form.change === 'delete';
    const start = body + 8 + (form.hasExtra ? source.readUInt16LE(body + 8) : 0);
    const columns = readLengthEncoded(source, start);
    if (columns.value > mostColumns) throw new RangeError('a row event has more columns than a table can have');
    const bitmapBytes = (columns.value + 7) >> 3;
    const at = columns.next + bitmapBytes * (isUpdate ? 2 : 1);
    if (at > source.length) throw new RangeError('a row event ends within its bitmaps');
    let images: Buffer | null = null;
    if (mapped.isOurs) {
      images = form.isCompressed ? inflate(source, at) : source.subarray(at);
      this.#history.rows(`${form.change} ${mapped.map.table}`, images ?? none, group.at);
    }
    if (this.#history.isApplied) return;
    for (const dependent of mapped.dependents) {
      const { constraint, onDelete, onUpdate } = dependent.cascade;
      const isFollowed = isDelete ? onDelete : isUpdate && onUpdate && !refersToKey(dependent, mapped.table);
      if (isFollowed || constraint === null) this.#suspendDependent(dependent, mapped.map, group);
    }
    const table = this.#wanted(mapped, group);
    if (table === null) {
      // The rows are not read, so their keys may have changed.
      for (const dependent of mapped.dependents)
        if (isUpdate && dependent.cascade.onUpdate) this.#suspendDependent(dependent, mapped.map, group);
      return;
    }

    if (mapped.reader === null) return;
    if (images === null) {
      this.#suspendUnread(table, 'a compressed row event is larger than the memory allows', mapped, isUpdate, group);
      return;
    }
    const readers =
      columns.value === mapped.reader.columnCount ? imageReaders(mapped.reader, source, columns.next, isUpdate) : null;
    if (readers === null) {
      this.suspend(
        table,
        'a row image is not full: some session has another binlog_row_image, or the server leaves generated columns out',
      );
      return;
    }

    const { batch } = this.#filler;
    const changes = batch.changes(table.codec.schema);
    const sizeBefore = changes.size;
    const partialBytes = form.isPartial ? jsonBitmapBytes(mapped.map) : null;
    const unsound = this.#readRows(readers, images, changes, isUpdate, isDelete, partialBytes, (oldKey) => {
      changes.delete(oldKey);
      for (const dependent of mapped.dependents)
        if (dependent.cascade.onUpdate) this.#suspendDependent(dependent, mapped.map, group);
    });
    const keyColumn = convertedKeyColumn(table.codec);
    changes.converted(takeConversions(table.codec));
    batch.size += changes.size - sizeBefore;
    this.#added += changes.size - sizeBefore;
    if (unsound !== null) this.#suspendUnread(table, unsound, mapped, isUpdate, group);
    else if (keyColumn !== null)
      this.suspend(
        table,
        `a value of key column ${keyColumn} cannot be held by PostgreSQL as it is, so that two rows could become one`,
      );
    this.#filler.grown();
  }

  /** Suspends a table of whose event rows are left unread. Their keys may have changed. */
  #suspendUnread(table: StreamTable, reason: string, mapped: MappedTable, isUpdate: boolean, group: RowGroup): void {
    this.suspend(table, reason);
    for (const dependent of mapped.dependents)
      if (isUpdate && dependent.cascade.onUpdate) this.#suspendDependent(dependent, mapped.map, group);
  }

  /** Returns why a row can be neither replicated nor stored as a dead letter, and then skips the rows after it; null: no such row. */
  #readRows(
    { before, after }: ImageReaders,
    source: Buffer,
    changes: TableChanges,
    isUpdate: boolean,
    isDelete: boolean,
    partialBytes: number | null,
    onKeyChanged: (oldKey: string) => void,
  ): string | null {
    const { batch } = this.#filler;
    const { lines } = changes;
    const scratch = this.#scratch;
    const end = source.length;
    const mayBeLarge = end > mostRowBytes;
    const sizeBefore = changes.size;
    let at = 0;
    try {
      while (at < end) {
        const added = this.#added + changes.size - sizeBefore;
        if (added > 0 && added >= this.#addable) return 'an event has more rows than the memory allows';
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
          if (partialBytes !== null) {
            const options = readLengthEncoded(source, at);
            at = options.next;
            if ((options.value & partialJson) !== 0) {
              if (source.subarray(at, at + partialBytes).some((byte) => byte !== 0)) return partialJsonLogged;
              at += partialBytes;
            }
          }
        }
        const from = lines.length;
        const rowAt = at;
        let invalid: { readonly reason: string; readonly column: string | null } | null = null;
        let bytes = mayBeLarge ? after.replicatedBytes(source, rowAt) : 0;
        let key = '';
        try {
          if (bytes <= mostRowBytes) {
            at = after.read(source, rowAt, lines);
            key = after.keyOf(lines);
            bytes = lines.length - from;
          }
          if (bytes > mostRowBytes) invalid = { reason: tooLarge(bytes), column: null };
        } catch (error) {
          if (!(error instanceof InvalidValue)) throw error;
          invalid = error;
        }
        if (invalid !== null) {
          lines.length = from;
          at = after.readKey(source, rowAt, scratch);
          key = after.keyOf(scratch);
        }
        // A key that changes only its case is a different key here, whatever collation the source uses.
        if (oldKey !== null && oldKey !== key) onKeyChanged(oldKey);
        if (invalid === null) {
          changes.upsert(isUpdate ? 'update' : 'insert', key, from);
        } else {
          const { reason, column } = invalid;
          const row = bytes > mostRowBytes ? Buffer.alloc(0) : after.copy(source, rowAt, at);
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

  /** The table that these rows belong to, ready to be read; null: they are not wanted. */
  #wanted(mapped: MappedTable, group: RowGroup): StreamTable | null {
    const { table } = mapped;
    // Looked up again, because it may have been suspended after it was mapped.
    if (table === null || this.#tables.find(mapped.map.database, mapped.map.table) !== table) return null;
    if (!isNewTo(table, group.start)) return null;
    if (group.isXa) {
      this.suspend(table, 'an XA transaction changed it, and XA transactions are not replicated');
      return null;
    }
    if (mapped.reader === null) {
      const reader = RowReader.compile(table.codec, mapped.map);
      if (typeof reader === 'string') {
        this.suspend(table, reader);
        return null;
      }
      mapped.reader = reader;
    }
    this.#changed.add(table);
    return table;
  }

  /**
   * A row that other tables refer to was deleted or got another key. The binlog does not have what InnoDB did to their rows. It does not
   * even show whether InnoDB changed any.
   */
  #suspendDependent({ table, cascade }: Dependent, parent: TableMap, group: RowGroup): void {
    if (!this.#tables.has(table) || !isNewTo(table, group.start)) return;
    const reason =
      cascade.constraint === null
        ? `rows were changed through MERGE table ${parent.table}, and the source does not log that as changes of this table`
        : `rows of ${parent.table} changed; foreign key ${cascade.constraint} may have changed rows here, which the source does not log`;
    this.suspend(table, reason);
    // The rows that this table lost may have changed further tables.
    for (const next of this.#tables.dependents(parent.database, table.codec.schema.table))
      this.#suspendDependent(next, { ...parent, table: table.codec.schema.table }, group);
  }

  /** Suspends every table that the open transaction has changed so far. */
  suspendChanged(reason: string): void {
    for (const table of this.#changed) this.suspend(table, reason);
  }

  /** The reason holds no position, so that tables with the same reason can be told of together. */
  suspend(table: StreamTable, reason: string): void {
    this.#tables.remove(table);
    this.#filler.batch.suspended.set(table.codec.schema.table, reason);
  }
}

/**
 * Before each image after a change, a PARTIAL_UPDATE_ROWS event has options. If they allow it, a bit for each JSON column follows, which
 * tells whether its value is a difference (sql/log_event.cc, `Update_rows_log_event::pack_info` and `unpack_row`).
 */
const partialJson = 1;
const partialJsonLogged = 'a session logged JSON values as differences (binlog_row_value_options)';

function jsonBitmapBytes({ types }: TableMap): number {
  return (types.filter((type) => type === binlogType.json).length + 7) >> 3;
}

/** Whether a foreign key refers only to columns of the replicated parent's key. Then only a change of that key matters. */
function refersToKey({ cascade }: Dependent, parent: StreamTable | null): boolean {
  if (parent === null) return false;
  const { columns, primaryKey } = parent.codec.schema;
  const key = primaryKey.map((index) => columns[index]?.name.toLowerCase());
  return cascade.columns.every((column) => key.includes(column.toLowerCase()));
}

/** Readers for the images of an event: of a row before the change and after it. The same reader where there is only one image. */
interface ImageReaders {
  readonly before: RowReader;
  readonly after: RowReader;
}

/** Chooses readers by the bitmaps of present columns at `at`; null: a replicated column is absent. */
function imageReaders(reader: RowReader, source: Buffer, at: number, isUpdate: boolean): ImageReaders | null {
  const before = reader.holding(source, at);
  const after = isUpdate ? reader.holding(source, at + ((reader.columnCount + 7) >> 3)) : before;
  return before === null || after === null ? null : { before, after };
}
