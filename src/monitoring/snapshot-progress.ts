import type { SnapshotStatus } from '../postgres/control/status.ts';

interface Copied {
  rows: number;
  readonly estimatedRows: number;
  isDone: boolean;
}

/** Progress of the first copy of the tables. */
export class SnapshotProgress {
  readonly #tables = new Map<string, Copied>();

  /** Sets the tables that are not completely copied yet. */
  begin(tables: readonly { readonly table: string; readonly rows: number; readonly estimatedRows: number }[]): void {
    this.#tables.clear();
    for (const { table, rows, estimatedRows } of tables)
      this.#tables.set(table, { rows, estimatedRows, isDone: false });
  }

  advance(table: string, rows: number): void {
    const copied = this.#tables.get(table);
    if (copied !== undefined) copied.rows = rows;
  }

  finish(table: string): void {
    const copied = this.#tables.get(table);
    if (copied !== undefined) copied.isDone = true;
  }

  estimateOf(table: string): number | null {
    return this.#tables.get(table)?.estimatedRows ?? null;
  }

  /** Null: there is nothing to copy. */
  get status(): SnapshotStatus | null {
    if (this.#tables.size === 0) return null;
    const tables = [...this.#tables.values()];
    const sum = (of: (table: Copied) => number) => tables.reduce((total, table) => total + of(table), 0);
    // For a finished table, the rows copied replace the source's estimate.
    const estimatedRows = sum((table) => (table.isDone ? table.rows : Math.max(table.rows, table.estimatedRows)));
    const rows = sum((table) => table.rows);
    const tablesDone = tables.filter(({ isDone }) => isDone).length;
    return {
      ...{ tables: tables.length, tablesDone, rows, estimatedRows },
      percent: Math.floor(100 * (estimatedRows === 0 ? tablesDone / tables.length : rows / estimatedRows)),
    };
  }
}
