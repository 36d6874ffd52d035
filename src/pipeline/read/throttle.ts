import type { Config } from '../../config/config.ts';
import { type SnapshotWindow, isOpen } from '../../config/snapshot-window.ts';
import { sleep } from '../../lifetime/backoff.ts';
import type { SourceConnection } from '../../mysql/connection.ts';
import type { SourceDelay } from '../../mysql/source-delay.ts';
import { type SourceActivity, readActivity } from '../../mysql/source-activity.ts';

/** How often the source is asked how busy it is. One query costs it less than a millisecond. */
const askEveryMs = 500;
const windowEveryMs = 5_000;
/** The interval before the second query, when nothing is known yet. */
const firstAskMs = 100;
/** For this long after a write, further writes are expected. */
const calmMs = 10_000;
/** A statement that works on rows makes at least this many calls to the storage engine a second, also from a slow disk. */
const leastCalls = 200;
/** For this long the statements that were seen doing nothing are taken for the same ones. */
const idleKnownMs = 30_000;
/** A source that is itself a replica is left alone while it lags by this many seconds. Its lag is read at this interval. */
const tooFarBehind = 10;
const lagEveryMs = 2_000;

/**
 * The state of the source. `free`: nobody else writes. `considerate`: others write. `waiting`: too many statements of others run.
 * `lagging`: the source lags behind the server that it replicates. `trickling`: one of both for so long that a chunk is read now and then
 * nevertheless. `closed`: the snapshot window is closed.
 */
export type Pace = 'free' | 'considerate' | 'waiting' | 'lagging' | 'trickling' | 'closed';

/** How long nothing is read, and how often a chunk is read after that. */
export interface Patience {
  readonly waitMs: number;
  readonly everyMs: number;
}

const patience: Patience = { waitMs: 600_000, everyMs: 60_000 };

export interface ThrottleListener {
  pace(pace: Pace): void;
  /** How long the source was busy with a chunk. */
  chunk(elapsedMs: number): void;
}

/**
 * Leaves capacity to those who work at the source. While nobody else writes there, the snapshot runs at full speed. While others
 * write, chunks are small and run one at a time. A rest follows each chunk; it grows with the number of running statements.
 *
 * Nothing waits for statements that only sleep or wait. The account may not see what others run, so the server's counters must tell: in an
 * interval in which nothing of ours is read, so many calls to the storage engines are at most so many statements at work. Statements that
 * compute without such calls look asleep, so the rest after a chunk grows with all that run.
 */
export class Throttle {
  readonly #window: SnapshotWindow | null;
  /** While so many statements of others work, nothing more is asked of the source. */
  readonly #busyAt: number;
  readonly #patience: Patience;
  readonly #listener: ThrottleListener;
  /** Others may be writing until two queries can be compared. */
  #pace: Pace = 'considerate';
  #last: SourceActivity | null = null;
  readonly #replicaLag: SourceDelay;
  #behind = 0;
  #behindAsked = Number.NEGATIVE_INFINITY;
  /** Running statements of others. */
  #running = 0;
  /** How many of them were seen doing nothing, and when. */
  #idle = 0;
  #idleSeenAt = Number.NEGATIVE_INFINITY;
  /** Too many statements run, and it is not known how many of them do nothing. */
  #mustLook = false;
  /** Chunks being read, and when the last one ended. */
  #reading = 0;
  #readAt = Number.NEGATIVE_INFINITY;
  /** Since when there is a reason to read nothing. */
  #restingSince: number | null = null;
  #lastWriteAt = Number.NEGATIVE_INFINITY;
  #asked = 0;
  /** The end of the queue of chunks that wait for their turn. */
  #turn: Promise<void> = Promise.resolve();

  constructor(
    { snapshotWindow, sourceBusyAt }: Pick<Config, 'snapshotWindow' | 'sourceBusyAt'>,
    replicaLag: SourceDelay,
    listener: ThrottleListener,
    patient = patience,
  ) {
    this.#window = snapshotWindow;
    this.#busyAt = sourceBusyAt;
    this.#patience = patient;
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
      this.#reading++;
      try {
        const chunk = await read();
        this.#listener.chunk(chunk.elapsedMs);
        return chunk;
      } finally {
        this.#reading--;
        this.#readAt = performance.now();
      }
    };
    if (this.#pace === 'free' && !this.#mustLook) return await measured();
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    try {
      await before;
      while (this.#mustWait() && !signal.aborted) {
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
    this.#count(now, last);
    if (now.at - this.#behindAsked >= lagEveryMs) {
      this.#behindAsked = now.at;
      this.#behind = await this.#replicaLag.seconds();
    }
    const rest = this.#reasonToRest();
    if (rest === null) this.#restingSince = null;
    else this.#restingSince ??= now.at;
    if (rest !== null) this.#enter(this.#isPatienceOver() ? 'trickling' : rest);
    else if (last !== null) {
      const isBusy = now.at - this.#lastWriteAt < calmMs || this.#running >= this.#busyAt;
      this.#enter(isBusy ? 'considerate' : 'free');
    }
  }

  /** Counts the statements of others, and how many of them work. */
  #count(now: SourceActivity, last: SourceActivity | null): void {
    const others = Math.max(0, now.running - 1 - this.#reading);
    const isQuiet = last !== null && this.#reading === 0 && this.#readAt <= last.at;
    if (isQuiet) {
      const callsPerSecond = ((now.calls - last.calls) / (now.at - last.at)) * 1000;
      const idle = Math.max(0, others - Math.floor(callsPerSecond / leastCalls));
      if (idle >= this.#idle || now.at - this.#idleSeenAt > idleKnownMs) {
        this.#idle = idle;
        this.#idleSeenAt = now.at;
      }
    }
    this.#idle = Math.min(this.#idle, others);
    this.#running = others;
    this.#mustLook = others >= this.#busyAt && now.at - this.#idleSeenAt > idleKnownMs;
  }

  #reasonToRest(): 'lagging' | 'waiting' | null {
    if (this.#behind >= tooFarBehind) return 'lagging';
    return this.#running - this.#idle >= this.#busyAt && !this.#mustLook ? 'waiting' : null;
  }

  #mustWait(): boolean {
    if (this.#mustLook) return true;
    if (this.#pace === 'trickling') return performance.now() - this.#readAt < this.#patience.everyMs;
    return this.#pace === 'waiting' || this.#pace === 'lagging';
  }

  #isPatienceOver(): boolean {
    return this.#restingSince !== null && performance.now() - this.#restingSince >= this.#patience.waitMs;
  }
}
