import type { ChangeBatch } from '../../change/change-batch.ts';
import { type Position, comparePositions } from '../../change/position.ts';
import type { TableChanges } from '../../change/table-changes.ts';
import { ChangeWindows } from './change-window.ts';

/**
 * Writes changes of one table in a transaction of their own, under the fence of the lease, and moves no checkpoint. Returns how many of
 * the rows PostgreSQL refused: they are dead letters.
 */
export type Merge = (changes: TableChanges) => Promise<number>;

interface Waiting {
  readonly position: Position;
  readonly run: (merge: Merge) => Promise<void>;
  readonly fail: (error: unknown) => void;
}

/** A stream as those see it who read tables beside it: where the target is, what was touched, and a moment of rest to write in. */
export class LiveStream {
  readonly windows = new ChangeWindows();
  /** Tables that the stream has given up since it began. */
  readonly suspended = new Set<string>();
  readonly #wanted: (position: Position) => void;
  #position: Position;
  /** A transaction is at the target in part, and this mark was before its first part. */
  #openLow: number | null = null;
  #waiting: Waiting[] = [];
  #ended: { readonly error: unknown } | null = null;

  /** `wanted` is told a place as soon as somebody waits for it. */
  constructor(start: Position, wanted: (position: Position) => void) {
    this.#position = start;
    this.#wanted = wanted;
  }

  /** Up to here the target is complete. */
  get position(): Position {
    return this.#position;
  }

  /**
   * Runs `work` once the target is at `position` or beyond, while the stream rests between two batches: nothing is written
   * meanwhile but by `merge`. Rejects when the stream ends before, or is waited for no longer.
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
    // Work that has begun is not waiting any more, and comes to its end.
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
   * A moment to ask `touched` about later. What the stream had brought before is at or before `position` as it is from now on; a
   * transaction that is at the target in part is not, and counts as brought since.
   */
  lowWatermark(): number {
    const watermark = this.windows.lowWatermark();
    return this.#openLow ?? watermark;
  }

  /** No mark to come is before this one. */
  get nextLowWatermark(): number {
    return this.#openLow ?? Number.POSITIVE_INFINITY;
  }

  /** A batch, or a part of a transaction, is at the target. */
  applied(batch: ChangeBatch): void {
    if (batch.open) this.#openLow ??= this.windows.lowWatermark();
    else this.#openLow = null;
    for (const changes of batch.tables.values()) this.windows.record(changes);
    for (const table of batch.suspended.keys()) this.suspended.add(table);
    if (batch.end !== null && !batch.open) this.#position = batch.end.position;
  }

  /** No transaction is open at the target: whoever waited for this place has his turn. What fails here fails the stream. */
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

  /** The stream is over; nobody waits in vain. */
  end(error: unknown): void {
    this.#ended = { error };
    for (const { fail } of this.#waiting) fail(error);
    this.#waiting = [];
  }
}
