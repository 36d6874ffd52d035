import type { SnapshotStatus } from '../postgres/control/status.ts';

interface Copied {
  rows: number;
  readonly estimatedRows: number;
  isDone: boolean;
}

/** The rate is that of this much time, so that a pause shows soon. */
const rateMs = 60_000;
const sampleEveryMs = 1_000;

/** Progress of the first copy of the tables. */
export class SnapshotProgress {
  readonly #tables = new Map<string, Copied>();
  /** How many rows were copied at which time, oldest first. */
  #samples: { readonly at: number; readonly rows: number }[] = [];

  /** Sets the tables that are not completely copied yet. */
  begin(tables: readonly { readonly table: string; readonly rows: number; readonly estimatedRows: number }[]): void {
    this.#tables.clear();
    for (const { table, rows, estimatedRows } of tables)
      this.#tables.set(table, { rows, estimatedRows, isDone: false });
    this.#samples = [{ at: performance.now(), rows: this.#sum(({ rows }) => rows) }];
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
    // For a finished table, the rows copied replace the source's estimate.
    const estimatedRows = this.#sum((table) => (table.isDone ? table.rows : Math.max(table.rows, table.estimatedRows)));
    const rows = this.#sum((table) => table.rows);
    const tablesDone = tables.filter(({ isDone }) => isDone).length;
    const perSecond = this.#rate(rows);
    return {
      ...{ tables: tables.length, tablesDone, rows, estimatedRows },
      percent: Math.floor(100 * (estimatedRows === 0 ? tablesDone / tables.length : rows / estimatedRows)),
      rowsPerSecond: perSecond === null ? null : Math.round(perSecond),
      secondsLeft:
        perSecond === null || perSecond === 0 ? null : Math.max(0, Math.round((estimatedRows - rows) / perSecond)),
    };
  }

  #sum(of: (table: Copied) => number): number {
    return [...this.#tables.values()].reduce((total, table) => total + of(table), 0);
  }

  /** Rows a second lately; null: it has just begun. */
  #rate(rows: number): number | null {
    const now = performance.now();
    if (now - (this.#samples.at(-1)?.at ?? 0) >= sampleEveryMs) this.#samples.push({ at: now, rows });
    // The first sample is at least as old as the time that counts, or the start.
    while ((this.#samples[1]?.at ?? now) < now - rateMs) this.#samples.shift();
    const [first] = this.#samples;
    return first === undefined || now - first.at < sampleEveryMs
      ? null
      : ((rows - first.rows) / (now - first.at)) * 1_000;
  }
}
