import { ChangeBatch } from '../../change/change-batch.ts';
import { type Position, comparePositions } from '../../change/position.ts';
import type { GtidProgress } from '../../mysql/binlog/gtid-progress.ts';
import type { BatchFiller } from '../../mysql/binlog/row-events.ts';

/** Bytes a batch may hold before it is handed over in the midst of a transaction, and before reading pauses. */
const batchBytes = 4 * 1024 * 1024;
/** An idle source, and what other databases there write, moves the checkpoint no more often than this. */
const idleCheckpointMs = 500;

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
  #taker: { give(batch: ChangeBatch | null): void; fail(error: Error): void } | null = null;
  #failure: { readonly error: Error } | null = null;
  #stopped = false;
  readonly #gtids: GtidProgress;
  #lastHandedAt = -Infinity;
  #lastEnd: Position;
  /** The batch handed out last was a part, and PostgreSQL waits with an open transaction for the rest. */
  #partHanded = false;
  /** Somebody waits for the target to get here. */
  #wanted: Position | null = null;

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

  /**
   * The next batch to apply: whole transactions, or a part of one that is too large. Null once `stop` was called; rejects
   * once `fail` was. Never more than one taker.
   *
   * Both end the queue by a call and not by a promise to race with: a race leaves its batch referenced by a promise that
   * lives as long as the stream.
   */
  async take(): Promise<ChangeBatch | null> {
    if (this.#failure !== null) throw this.#failure.error;
    if (this.#stopped) return null;
    if (this.#isThere()) {
      this.#wanted = null;
      return new ChangeBatch();
    }
    return await new Promise<ChangeBatch | null>((resolve, reject) => {
      // A position alone does not hurry, but it must not wait for the next change either.
      const tick = setInterval(() => this.#offer(), idleCheckpointMs / 4);
      this.#taker = {
        give: (batch) => {
          clearInterval(tick);
          resolve(batch);
        },
        fail: (error) => {
          clearInterval(tick);
          reject(error);
        },
      };
      if (this.batch.size >= batchBytes) this.#hand();
      else this.#offer();
    });
  }

  /**
   * Somebody waits for the target to get to a place: a batch that brings it there is handed over at once, even if it holds
   * nothing else. When the target is there already, whoever takes gets an empty batch, to see that.
   */
  want(position: Position): void {
    if (this.#wanted === null || comparePositions(position, this.#wanted) < 0) this.#wanted = position;
    if (this.#isThere()) this.wake();
    else this.#offer();
  }

  #isThere(): boolean {
    return !this.#partHanded && this.#wanted !== null && comparePositions(this.#lastEnd, this.#wanted) >= 0;
  }

  /** Whoever waits in `take` gets an empty batch, unless a transaction is open at the target. */
  wake(): void {
    const taker = this.#taker;
    if (taker === null || this.#partHanded) return;
    this.#taker = null;
    this.#wanted = null;
    taker.give(new ChangeBatch());
  }

  /** No more batches: whoever waits gets null. */
  stop(): void {
    this.#stopped = true;
    this.#taker?.give(null);
    this.#taker = null;
  }

  /** The reader broke; what it read so far is not to be applied, since it will come again. */
  fail(error: Error): void {
    this.#failure = { error };
    this.#taker?.fail(error);
    this.#taker = null;
  }

  /** Hands the batch over if it ends with a transaction and holds something worth a PostgreSQL transaction. */
  #offer(): void {
    const { batch } = this;
    if (this.#taker === null || batch.open || batch.end === null) return;
    if (batch.isPositionOnly && !this.#partHanded) {
      const now = performance.now();
      const isWanted = this.#wanted !== null && comparePositions(batch.end.position, this.#wanted) >= 0;
      if (!isWanted && now - this.#lastHandedAt < idleCheckpointMs) return;
      if (comparePositions(batch.end.position, this.#lastEnd) === 0) return;
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
      if (this.#isThere()) this.#wanted = null;
    }
    this.batch = new ChangeBatch();
    this.batch.open = batch.open;
    this.#reader.resume();
    taker.give(batch);
  }
}
