import { type SnapshotWindow, isOpen } from '../../config/snapshot-window.ts';
import { sleep } from '../../lifetime/backoff.ts';
import type { SourceConnection } from '../../mysql/connection.ts';
import type { ReplicaLag } from '../../mysql/replica-lag.ts';
import { type SourceActivity, readActivity } from '../../mysql/source-activity.ts';

/** How often the source is asked how busy it is. One query costs it less than a millisecond. */
const askEveryMs = 500;
const windowEveryMs = 5_000;
/** The interval before the second query, when nothing is known yet. */
const firstAskMs = 100;
/** For this long after a write, further writes are expected. */
const calmMs = 10_000;
/** While this many statements of others run at once, nothing more is asked of the source. */
const tooManyRunning = 24;
/** A source that is itself a replica is left alone while it lags by this many seconds. Its lag is read at this interval. */
const tooFarBehind = 10;
const lagEveryMs = 2_000;

/**
 * The state of the source. `free`: nobody else writes. `considerate`: others write. `waiting`: too many statements of others run.
 * `lagging`: the source lags behind the server that it replicates. `closed`: the snapshot window is closed.
 */
export type Pace = 'free' | 'considerate' | 'waiting' | 'lagging' | 'closed';

export interface ThrottleListener {
  pace(pace: Pace): void;
  /** How long the source was busy with a chunk. */
  chunk(elapsedMs: number): void;
}

/**
 * Leaves capacity to those who work at the source. While nobody else writes there, the snapshot runs at full speed. While others
 * write, chunks are small and run one at a time. A rest follows each chunk; it grows with the number of running statements.
 */
export class Throttle {
  readonly #window: SnapshotWindow | null;
  readonly #listener: ThrottleListener;
  /** Others may be writing until two queries can be compared. */
  #pace: Pace = 'considerate';
  #last: SourceActivity | null = null;
  readonly #replicaLag: ReplicaLag;
  #behind = 0;
  #behindAsked = Number.NEGATIVE_INFINITY;
  #running = 0;
  #lastWriteAt = Number.NEGATIVE_INFINITY;
  #asked = 0;
  /** The end of the queue of chunks that wait for their turn. */
  #turn: Promise<void> = Promise.resolve();

  constructor(window: SnapshotWindow | null, replicaLag: ReplicaLag, listener: ThrottleListener) {
    this.#window = window;
    this.#replicaLag = replicaLag;
    this.#listener = listener;
  }

  get pace(): Pace {
    return this.#pace;
  }

  /** Reads a chunk when the source has capacity for it. `elapsedMs`: how long the source was busy with it. */
  async chunk<T extends { readonly elapsedMs: number }>(
    reader: () => SourceConnection,
    read: () => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    await this.#untilOpen(signal);
    signal.throwIfAborted();
    await this.#ask(reader());
    const measured = async () => {
      const chunk = await read();
      this.#listener.chunk(chunk.elapsedMs);
      return chunk;
    };
    if (this.#pace === 'free') return await measured();
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    try {
      await before;
      while ((this.#pace === 'waiting' || this.#pace === 'lagging') && !signal.aborted) {
        await sleep(askEveryMs, signal);
        await this.#ask(reader());
      }
      const chunk = await measured();
      await sleep(chunk.elapsedMs * (2 + this.#running), signal);
      return chunk;
    } finally {
      resolve();
    }
  }

  async #untilOpen(signal: AbortSignal): Promise<void> {
    while (this.#window !== null && !isOpen(this.#window, new Date()) && !signal.aborted) {
      this.#enter('closed');
      await sleep(windowEveryMs, signal);
    }
    if (this.#pace === 'closed') this.#enter('considerate');
  }

  #enter(pace: Pace): void {
    if (pace === this.#pace) return;
    this.#pace = pace;
    this.#listener.pace(pace);
  }

  async #ask(reader: SourceConnection): Promise<void> {
    const last = this.#last;
    if (last !== null && performance.now() - last.at < (this.#asked < 2 ? firstAskMs : askEveryMs)) return;
    const now = await readActivity(reader);
    this.#last = now;
    this.#asked++;
    if (last !== null && now.writes > last.writes) this.#lastWriteAt = now.at;
    this.#running = Math.max(0, now.running - 1);
    if (now.at - this.#behindAsked >= lagEveryMs) {
      this.#behindAsked = now.at;
      this.#behind = await this.#replicaLag.seconds();
    }
    const rest = this.#reasonToRest();
    if (rest !== null) this.#enter(rest);
    else if (last !== null) this.#enter(now.at - this.#lastWriteAt < calmMs ? 'considerate' : 'free');
  }

  #reasonToRest(): Pace | null {
    if (this.#behind >= tooFarBehind) return 'lagging';
    return this.#running >= tooManyRunning ? 'waiting' : null;
  }
}
