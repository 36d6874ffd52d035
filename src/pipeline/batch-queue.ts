import { ChangeBatch } from '../change/change-batch.ts';
import { type Position, comparePositions } from '../change/position.ts';
import type { GtidProgress } from '../source/binlog/gtid-progress.ts';
import type { BatchFiller } from '../source/binlog/binlog-decoder.ts';

/** Bytes a batch may hold before it is handed over in the midst of a transaction, and before reading pauses. */
const batchBytes = 8 * 1024 * 1024;
/** An idle source moves the checkpoint no more often than this. */
const idleCheckpointMs = 1_000;

/** What back-pressure acts on. */
export interface Pausable {
  pause(): void;
  resume(): void;
}

/**
 * Between the reader and the applier. While one batch is being applied the next one fills; when the applier is free it takes
 * what is there, cut at the end of a source transaction. So an idle source's change goes out at once, and a busy one's
 * batches grow by themselves: group commit without a timer. A full batch that nobody takes pauses the reader.
 */
export class BatchQueue implements BatchFiller {
  batch = new ChangeBatch();
  readonly #reader: Pausable;
  #taker: ((batch: ChangeBatch) => void) | null = null;
  readonly #gtids: GtidProgress;
  #lastHandedAt = 0;
  #lastEnd: Position;
  /** The batch handed out last was a part, and PostgreSQL waits with an open transaction for the rest. */
  #partHanded = false;

  /** `start`: where the target is now. */
  constructor(reader: Pausable, gtids: GtidProgress, start: Position) {
    this.#reader = reader;
    this.#lastEnd = start;
    this.#gtids = gtids;
  }

  boundary(): void {
    if (this.batch.size >= batchBytes) this.#full();
    else this.#offer();
  }

  grown(): void {
    if (this.batch.size >= batchBytes) this.#full();
  }

  /** The next batch to apply: whole transactions, or a part of one that is too large. Never more than one taker. */
  async take(signal: AbortSignal): Promise<ChangeBatch> {
    return await new Promise<ChangeBatch>((resolve, reject) => {
      const aborted = () => {
        clearInterval(tick);
        this.#taker = null;
        reject(signal.reason as Error);
      };
      if (signal.aborted) return void aborted();
      // A position alone does not hurry, but it must not wait for the next change either.
      const tick = setInterval(() => this.#offer(), idleCheckpointMs / 4);
      signal.addEventListener('abort', aborted, { once: true });
      this.#taker = (batch) => {
        clearInterval(tick);
        signal.removeEventListener('abort', aborted);
        resolve(batch);
      };
      if (this.batch.size >= batchBytes) this.#hand();
      else this.#offer();
    });
  }

  /** Hands the batch over if it ends with a transaction and holds something worth a PostgreSQL transaction. */
  #offer(): void {
    const { batch } = this;
    if (this.#taker === null || batch.open || batch.end === null) return;
    if (batch.isPositionOnly && !this.#partHanded) {
      const now = Date.now();
      if (now - this.#lastHandedAt < idleCheckpointMs || comparePositions(batch.end.position, this.#lastEnd) === 0) return;
      this.#lastHandedAt = now;
    }
    this.#hand();
  }

  #full(): void {
    if (this.#taker === null) this.#reader.pause();
    else this.#hand();
  }

  #hand(): void {
    const taker = this.#taker;
    if (taker === null) return;
    const { batch } = this;
    this.#taker = null;
    this.#partHanded = batch.open;
    // Spelled out now and not at every transaction: a GTID set is long, and only the last one is stored.
    if (batch.end !== null) {
      batch.end = { ...batch.end, position: { ...batch.end.position, gtid: this.#gtids.text } };
      this.#lastEnd = batch.end.position;
    }
    this.batch = new ChangeBatch();
    this.batch.open = batch.open;
    this.#reader.resume();
    taker(batch);
  }
}
