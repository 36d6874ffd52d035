import type { StallReason } from '../listener.ts';

const everyMs = 1_000;
/** The source sends a heartbeat each second; the reader hangs up after 15 s without. */
const silentMs = 5_000;
/** A batch takes milliseconds, one full of changes a second or two. */
const stuckMs = 10_000;
/** Then PostgreSQL is asked, and again after as long, whether it is at it: a lock is worth waiting for, a dead connection is not. */
const hopelessMs = 300_000;

/** What a stream reads from. */
interface Reader {
  /** Milliseconds since the source said something; 0 while nobody listens. */
  readonly silentMs: number;
  /** Bytes of binlog received so far. */
  readonly readBytes: number;
}

export interface StallListener {
  /** It stands still from now on, for this reason; null: it moves again. */
  stalled(reason: StallReason | null): void;
  /** So many more bytes of binlog were received. */
  read(bytes: number): void;
}

/**
 * Looks each second whether a stream stands still although both connections are there: the source says nothing, or PostgreSQL
 * does not finish what it was given. Where PostgreSQL is not even at it, it calls `giveUp`, so that a fresh connection is tried.
 */
export class StallWatch {
  readonly #reader: Reader;
  readonly #listener: StallListener;
  readonly #isAtWork: () => Promise<boolean>;
  readonly #giveUp: () => void;
  readonly #timer: NodeJS.Timeout;
  #writingSince: number | null = null;
  /** When PostgreSQL was asked last, or was given this work. */
  #askedAt = 0;
  #reason: StallReason | null = null;
  #readBytes = 0;

  /** `isAtWork`: whether PostgreSQL does what it was given; a rejection means that nobody can tell. */
  constructor(reader: Reader, listener: StallListener, isAtWork: () => Promise<boolean>, giveUp: () => void) {
    this.#reader = reader;
    this.#listener = listener;
    this.#isAtWork = isAtWork;
    this.#giveUp = giveUp;
    this.#timer = setInterval(() => this.#look(), everyMs);
  }

  /** Does what waits for PostgreSQL, and returns how long it took, in seconds. */
  async writing(work: () => Promise<void>): Promise<number> {
    const begun = performance.now();
    this.#writingSince = this.#askedAt = begun;
    try {
      await work();
      return (performance.now() - begun) / 1000;
    } finally {
      this.#writingSince = null;
    }
  }

  /** What comes after the stream is another state; a stall does not end in it by moving again. */
  close(): void {
    clearInterval(this.#timer);
    this.#tellRead();
  }

  #look(): void {
    this.#tellRead();
    const writingMs = this.#writingSince === null ? 0 : performance.now() - this.#writingSince;
    if (this.#writingSince !== null && performance.now() - this.#askedAt > hopelessMs)
      void this.#ask(this.#writingSince);
    if (writingMs > stuckMs) this.#enter('target-stuck');
    else this.#enter(this.#reader.silentMs > silentMs ? 'source-silent' : null);
  }

  async #ask(since: number): Promise<void> {
    this.#askedAt = performance.now();
    const isAtWork = await this.#isAtWork().catch(() => false);
    if (!isAtWork && this.#writingSince === since) this.#giveUp();
  }

  #tellRead(): void {
    const { readBytes } = this.#reader;
    if (readBytes > this.#readBytes) this.#listener.read(readBytes - this.#readBytes);
    this.#readBytes = readBytes;
  }

  #enter(reason: StallReason | null): void {
    if (reason === this.#reason) return;
    this.#reason = reason;
    this.#listener.stalled(reason);
  }
}
