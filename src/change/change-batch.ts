import type { Position } from './position.ts';
import { TableChanges } from './table-changes.ts';
import type { TableSchema } from '../definition/table-schema.ts';

/** The end of a source transaction: its position, and its time by the source's clock. */
export interface CommitPoint {
  readonly position: Position;
  /** Seconds since 1970 by the source's clock, as in the binlog; null while only idle positions were seen. */
  readonly committedAt: number | null;
}

/**
 * The net effect of some complete source transactions, or of a part of one that is too large to hold. A batch is the interface
 * between the two databases: the binlog reader fills it, and one PostgreSQL transaction applies it.
 */
export class ChangeBatch {
  readonly tables = new Map<string, TableChanges>();
  /** Tables that must be suspended, because nothing more may be written to them. The value is the reason for the operator. */
  readonly suspended = new Map<string, string>();
  /** Rows that became dead letters, by table; known once the batch is durable. */
  readonly rejected = new Map<string, number>();
  /** Source transactions that ended in this batch, including those without a replicated row. */
  transactions = 0;
  /** Row changes read, before coalescing. */
  rows = 0;
  /** The last transaction end in this batch; null: the batch is a part of a transaction that continues. */
  end: CommitPoint | null = null;
  /** A transaction started and did not end in this batch. */
  open = false;
  /** Bytes held, including bookkeeping. The code that adds rows updates it, and back-pressure counts it. */
  size = 0;

  /** The changes of a table, created on first use. `schema.table` is the name as the catalog spells it. */
  changes(schema: TableSchema): TableChanges {
    let changes = this.tables.get(schema.table);
    if (changes === undefined) this.tables.set(schema.table, (changes = new TableChanges(schema)));
    return changes;
  }

  /** Nothing to write, not even a position. */
  get isEmpty(): boolean {
    return this.isPositionOnly && this.end === null && !this.open;
  }

  /** Nothing to write except the position. */
  get isPositionOnly(): boolean {
    return this.tables.size === 0 && this.suspended.size === 0;
  }
}
