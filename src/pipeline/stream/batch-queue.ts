import { ChangeBatch } from '../../change/change-batch.ts';
import { type Position, comparePositions } from '../../change/position.ts';
import type { GroupHistory } from '../../mysql/binlog/group-history.ts';
import type { GtidProgress } from '../../mysql/binlog/gtid-progress.ts';
import { roomFor } from '../../lifetime/memory.ts';
import type { BatchFiller } from '../../mysql/binlog/row-events.ts';

/** A batch of this many bytes is handed over, or waits for the applier while reading pauses. */
const defaultBatchBytes = roomFor(1 / 40, 4 * 1024 * 1024);
/** An idle source, or writes to its other databases, move the checkpoint at most this often. */
const idleCheckpointMs = 500;

/** The reader, which back-pressure pauses. */
export interface Pausable {
  pause(): void;
  resume(): void;
}

/**
 * The queue between the reader and the applier. While one batch is applied, the next one fills. When the applier is free, it takes what
 * is there, cut at the end of a source transaction. So a change of an idle source is applied at once. The batches of a busy source grow
 * by themselves: group commit without a timer. A full batch that waits for the applier pauses the reader.
 *
 * Invariant: a batch consists of complete source transactions. Only a transaction that fills a batch alone is handed over in parts, and
 * the complete transactions before it are handed over first. Between two parts of a transaction the applier gets no other batch.
 */
export class BatchQueue implements BatchFiller {
  batch = new ChangeBatch();
  readonly #reader: Pausable;
  #taker: { give(batch: ChangeBatch | null): void; fail(error: Error): void } | null = null;
  #failure: { readonly error: Error } | null = null;
  #stopped = false;
  readonly #gtids: GtidProgress;
  readonly #history: Pick<GroupHistory, 'witnesses'>;
  #lastHandedAt = -Infinity;
  #lastEnd: Position;
  /** The last batch was a part, and PostgreSQL waits for the rest with an open transaction. */
  #partHanded = false;
  /** The lowest position that the target was asked to reach. */
  #wanted: Position | null = null;

  readonly #batchBytes: number;

  /** `start`: the present position of the target. */
  constructor(
    reader: Pausable,
    gtids: GtidProgress,
    history: Pick<GroupHistory, 'witnesses'>,
    start: Position,
    batchBytes = defaultBatchBytes,
  ) {
    this.#reader = reader;
    this.#batchBytes = batchBytes;
    this.#lastEnd = start;
    this.#gtids = gtids;
    this.#history = history;
  }

  boundary(): void {
    if (this.#isFull) this.#full();
    else this.#offer();
  }

  grown(): void {
    if (this.#isFull) this.#full();
  }

  /** The parts that were handed over are dropped with the next batch. */
  cutOff(): void {
    const { batch } = this;
    if (!batch.open) return;
    batch.splitOff();
    batch.isCutOff = true;
    // The batch may have been full, and its reader be paused.
    if (!this.#isFull) this.#reader.resume();
  }

  get #isFull(): boolean {
    return this.batch.size >= this.#batchBytes;
  }

  /**
   * The next batch to apply: complete transactions, or a part of one that is too large. Returns null after `stop` and rejects after
   * `fail`. There is never more than one taker.
   *
   * Both end the queue by a call, not by a promise in a race. A race would leave its batch referenced by a promise that lives as long as
   * the stream.
   */
  async take(): Promise<ChangeBatch | null> {
    if (this.#failure !== null) throw this.#failure.error;
    if (this.#stopped) return null;
    if (this.#isThere()) {
      this.#wanted = null;
      return new ChangeBatch();
    }
    return await new Promise<ChangeBatch | null>((resolve, reject) => {
      // A position alone is not urgent, but it must not wait for the next change either.
      const tick = setInterval(() => this.#offerLate(), idleCheckpointMs / 4);
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
      if (this.#isFull) this.#hand();
      else this.#offer();
    });
  }

  /**
   * Asks for the target to reach a position. A batch that brings it there is handed over at once, even if it holds nothing else. If the
   * target is there already, the taker gets an empty batch and notices that.
   */
  want(position: Position): void {
    if (this.#wanted === null || comparePositions(position, this.#wanted) < 0) this.#wanted = position;
    if (this.#isThere()) this.wake();
    else this.#offer();
  }

  #isThere(): boolean {
    return !this.#partHanded && this.#wanted !== null && comparePositions(this.#lastEnd, this.#wanted) >= 0;
  }

  /** Gives an empty batch to the taker that waits, unless a transaction is open at the target. */
  wake(): void {
    const taker = this.#taker;
    if (taker === null || this.#partHanded) return;
    this.#taker = null;
    this.#wanted = null;
    taker.give(new ChangeBatch());
  }

  /** Ends the queue: the taker that waits gets null. */
  stop(): void {
    this.#stopped = true;
    this.#taker?.give(null);
    this.#taker = null;
  }

  /** The reader failed. What it has read so far must not be applied, because it will be read again. */
  fail(error: Error): void {
    this.#failure = { error };
    this.#taker?.fail(error);
    this.#taker = null;
  }

  /** Hands the batch over if it ends with a transaction and is worth a PostgreSQL transaction. */
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

  /** A transaction that takes long to arrive must not hold back the complete ones before it. */
  #offerLate(): void {
    const { batch } = this;
    if (batch.open && batch.end !== null && !batch.isPositionOnly) this.#hand();
    else this.#offer();
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
    this.batch = batch.open ? (batch.end === null ? ChangeBatch.continuing() : batch.splitOff()) : new ChangeBatch();
    this.#partHanded = batch.open;
    // The GTID set is formatted only here and not at every transaction: it is long, and only the last one is stored. So are the witnesses.
    if (batch.end !== null) {
      const { witnesses } = this.#history;
      batch.end = { ...batch.end, position: { ...batch.end.position, gtid: this.#gtids.text }, witnesses };
      this.#lastEnd = batch.end.position;
      if (this.#isThere()) this.#wanted = null;
    }
    if (!this.#isFull) this.#reader.resume();
    taker.give(batch);
  }
}
