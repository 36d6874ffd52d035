import type { ChangeBatch } from '../../change/change-batch.ts';
import { type Position, comparePositions } from '../../change/position.ts';
import type { TableChanges } from '../../change/table-changes.ts';
import { ChangeWindows } from './change-window.ts';

/**
 * Writes changes of one table in a transaction of their own, under the fence of the lease. Moves no checkpoint. Returns how many rows
 * PostgreSQL refused; those become dead letters.
 */
export type Merge = (changes: TableChanges) => Promise<number>;

interface Waiting {
  readonly position: Position;
  readonly run: (merge: Merge) => Promise<void>;
  readonly fail: (error: unknown) => void;
}

/**
 * The stream as a reader of tables beside it sees it: the position of the target, the change windows, and moments of rest to write in.
 *
 * Invariant: `position` is always the end of a source transaction, and the target has everything up to it. Work of `at` runs only while
 * no transaction is open at the target. A partly applied transaction counts as brought since every low watermark taken meanwhile.
 */
export class StreamView {
  readonly windows = new ChangeWindows();
  /** Tables that the stream has suspended since its start. */
  readonly suspended = new Set<string>();
  readonly #wanted: (position: Position) => void;
  #position: Position;
  /** The low watermark before the first part of a partly applied transaction; null: there is none. */
  #openLow: number | null = null;
  #waiting: Waiting[] = [];
  #ended: { readonly error: unknown } | null = null;

  /** Tables that a definition named and that are not replicated. */
  readonly unlisted: ReadonlySet<string>;

  /** `wanted` is called with a position as soon as work waits for it. */
  constructor(start: Position, wanted: (position: Position) => void, unlisted: ReadonlySet<string> = new Set()) {
    this.#position = start;
    this.#wanted = wanted;
    this.unlisted = unlisted;
  }

  /** The target is complete up to here. */
  get position(): Position {
    return this.#position;
  }

  /**
   * Runs `work` once the target is at `position` or beyond, while the stream rests between two batches. Meanwhile only `merge` writes.
   * Rejects when the stream ends first, or when `signal` aborts the wait.
   */
  async at<T>(position: Position, work: (merge: Merge) => Promise<T>, signal: AbortSignal): Promise<T> {
    if (this.#ended !== null) throw this.#ended.error;
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const waiting: Waiting = {
      position,
      run: async (merge) => resolve(await work(merge)),
      fail: reject,
    };
    // Work that has started no longer waits, and runs to its end.
    const leave = () => {
      if (!this.#waiting.includes(waiting)) return;
      this.#waiting = this.#waiting.filter((other) => other !== waiting);
      reject(signal.reason);
    };
    this.#waiting.push(waiting);
    this.#wanted(position);
    signal.addEventListener('abort', leave);
    try {
      return await promise;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  /**
   * Takes a low watermark for `windows`. What the stream brought before it is at or before `position` from now on. A partly applied
   * transaction is not, so it counts as brought since then.
   */
  lowWatermark(): number {
    const watermark = this.windows.lowWatermark();
    return this.#openLow ?? watermark;
  }

  /** No later low watermark is before this one. */
  get nextLowWatermark(): number {
    return this.#openLow ?? Number.POSITIVE_INFINITY;
  }

  /** The target has this batch, or this part of a transaction. */
  applied(batch: ChangeBatch): void {
    if (batch.open) this.#openLow ??= this.windows.lowWatermark();
    else this.#openLow = null;
    for (const changes of batch.tables.values()) this.windows.record(changes);
    for (const table of batch.suspended.keys()) this.suspended.add(table);
    if (batch.end !== null && !batch.open) this.#position = batch.end.position;
  }

  /** No transaction is open at the target, so work that waited for this position runs. An error in it fails the stream. */
  async rest(merge: Merge): Promise<void> {
    const due = this.#waiting.filter(({ position }) => comparePositions(this.#position, position) >= 0);
    if (due.length === 0) return;
    this.#waiting = this.#waiting.filter((waiting) => !due.includes(waiting));
    for (const [index, waiting] of due.entries()) {
      try {
        await waiting.run(merge);
      } catch (error) {
        for (const left of due.slice(index)) left.fail(error);
        throw error;
      }
    }
    for (const { position } of this.#waiting) this.#wanted(position);
  }

  /** The stream has ended: all work that waits is rejected. */
  end(error: unknown): void {
    this.#ended = { error };
    for (const { fail } of this.#waiting) fail(error);
    this.#waiting = [];
  }
}
