import type { Position } from './position.ts';
import { TableChanges } from './table-changes.ts';
import type { TableSchema } from '../definition/table-schema.ts';

/** The end of a source transaction: where it is, and when the source says it was written. */
export interface CommitPoint {
  readonly position: Position;
  /** Seconds since 1970 by the source's clock, as the binlog carries it; null while only idle positions were seen. */
  readonly committedAt: number | null;
}

/**
 * What crosses the seam between the two databases: the net effect of some whole source transactions, or of a part of one
 * that is too large to hold. Filled by the binlog reader, applied in one PostgreSQL transaction.
 */
export class ChangeBatch {
  readonly tables = new Map<string, TableChanges>();
  /** Tables that must not be written any further, with the reason for the operator. */
  readonly suspended = new Map<string, string>();
  /** How many rows of a table became dead letters; known once the batch is durable. */
  readonly rejected = new Map<string, number>();
  /** Source transactions that ended in this batch, those without a replicated row included. */
  transactions = 0;
  /** Row changes read, before coalescing. */
  rows = 0;
  /** The last transaction end in this batch; null: a part of one transaction that goes on. */
  end: CommitPoint | null = null;
  /** A transaction has begun that has not ended in this batch. */
  open = false;
  /** Bytes held, bookkeeping included; kept by whoever adds rows. Back-pressure counts these. */
  size = 0;

  /** The changes of a table; `name` identifies it as the catalog spells it. */
  changes(schema: TableSchema): TableChanges {
    let changes = this.tables.get(schema.table);
    if (changes === undefined) this.tables.set(schema.table, (changes = new TableChanges(schema)));
    return changes;
  }

  /** There is nothing to write, not even a position. */
  get isEmpty(): boolean {
    return this.isPositionOnly && this.end === null && !this.open;
  }

  /** Nothing but the position to write. */
  get isPositionOnly(): boolean {
    return this.tables.size === 0 && this.suspended.size === 0;
  }
}
