import type { Position } from './position.ts';
import type { Witness } from './witness.ts';
import { TableChanges } from './table-changes.ts';
import type { TableSchema } from '../definition/table-schema.ts';

/** The end of a source transaction: its position, and its time by the source's clock. */
export interface CommitPoint {
  readonly position: Position;
  /** Seconds since 1970 by the source's clock, as in the binlog; null while only idle positions were seen. */
  readonly committedAt: number | null;
  /** The last groups up to here, by which the source proves its history; absent: see the queue. */
  readonly witnesses?: readonly Witness[];
}

/**
 * The net effect of some complete source transactions, or of a part of one that is too large to hold. A batch is the interface
 * between the two databases: the binlog reader fills it, and one PostgreSQL transaction applies it.
 */
export class ChangeBatch {
  readonly tables = new Map<string, TableChanges>();
  /** Tables that must be suspended, because nothing more may be written to them. The value is the reason for the operator. */
  readonly suspended = new Map<string, string>();
  /** Tables whose rows at the source may differ from what the binlog says. They are compared, and made equal. */
  readonly doubtful = new Set<string>();
  /** Rows that became dead letters, by table; known once the batch is durable. */
  readonly rejected = new Map<string, number>();
  /** Source transactions that ended in this batch, including those without a replicated row. */
  transactions = 0;
  /** Row changes read, before coalescing. */
  rows = 0;
  /** The last transaction end in this batch; null: the batch is a part of a transaction that continues. */
  end: CommitPoint | null = null;
  /** Bytes held, including bookkeeping. The code that adds rows updates it, and back-pressure counts it. */
  size = 0;
  /** The transaction that earlier batches have begun is not continued here. It never ended at the source, so its parts must be undone. */
  isCutOff = false;
  #open = false;
  /** The number of the last transaction that began here. A transaction that began in an earlier batch is number 0. */
  #number = 0;
  /** Rows and suspended tables before the open transaction. */
  #before = { rows: 0, suspended: 0 };
  /** The earlier changes of tables that the open transaction truncated. */
  readonly #truncated = new Map<string, TableChanges>();

  /** A batch that continues an open transaction. */
  static continuing(): ChangeBatch {
    const batch = new ChangeBatch();
    batch.#open = true;
    return batch;
  }

  /** A transaction started and did not end in this batch. */
  get open(): boolean {
    return this.#open;
  }

  /** A source transaction starts. */
  begin(): void {
    this.#open = true;
    this.#number++;
    this.#before = { rows: this.rows, suspended: this.suspended.size };
    if (this.#truncated.size > 0) this.#truncated.clear();
  }

  /** A source transaction ends, or a statement that is a transaction of its own. */
  commit(end: CommitPoint): void {
    this.#open = false;
    this.transactions++;
    this.end = end;
  }

  /** The changes of a table, created on first use. `schema.table` is the name as the catalog spells it. */
  changes(schema: TableSchema): TableChanges {
    let changes = this.tables.get(schema.table);
    if (changes === undefined) this.tables.set(schema.table, (changes = new TableChanges(schema)));
    changes.mark(this.#number);
    return changes;
  }

  /** The source has emptied a table. */
  truncate(schema: TableSchema): void {
    const earlier = this.changes(schema);
    if (this.#open && !earlier.isNewIn(this.#number)) {
      this.#truncated.set(schema.table, earlier);
      this.tables.delete(schema.table);
    } else this.size -= earlier.size;
    this.changes(schema).truncate();
  }

  /**
   * Takes out the open transaction and returns it as a batch of its own, which continues it. This batch then ends with a complete
   * transaction.
   */
  splitOff(): ChangeBatch {
    const rest = ChangeBatch.continuing();
    for (const [table, changes] of this.tables) {
      // Moved as a whole, which is the usual case for a table of a large transaction.
      const isWhole = changes.isNewIn(this.#number);
      const part = isWhole ? changes : changes.splitOff(this.#number);
      if (part !== null && !part.isEmpty) {
        part.continueInNextBatch();
        rest.tables.set(table, part);
      }
      if (isWhole || changes.isEmpty) this.tables.delete(table);
    }
    for (const [table, earlier] of this.#truncated) {
      earlier.splitOff(this.#number);
      if (!earlier.isEmpty) this.tables.set(table, earlier);
    }
    for (const [table, reason] of [...this.suspended].slice(this.#before.suspended)) {
      rest.suspended.set(table, reason);
      this.suspended.delete(table);
    }
    rest.rows = this.rows - this.#before.rows;
    rest.size = sizeOf(rest);
    this.rows = this.#before.rows;
    this.size = sizeOf(this);
    this.#open = false;
    this.#truncated.clear();
    return rest;
  }

  /** Nothing to write, not even a position. */
  get isEmpty(): boolean {
    return this.isPositionOnly && this.end === null && !this.open;
  }

  /** Nothing to write except the position. */
  get isPositionOnly(): boolean {
    return this.tables.size === 0 && this.suspended.size === 0 && this.doubtful.size === 0;
  }
}

function sizeOf({ tables }: ChangeBatch): number {
  let size = 0;
  for (const changes of tables.values()) size += changes.size;
  return size;
}
