import type { StallReason } from '../listener.ts';

const everyMs = 1_000;
/** The source sends a heartbeat each second; the reader hangs up after 15 s without. */
const silentMs = 5_000;
/** A batch takes milliseconds, one full of changes a second or two. */
const stuckMs = 10_000;
/** Somebody's lock on a table at the target is worth waiting for, a dead connection is not. */
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
 * does not finish what it was given. Beyond hope it calls `giveUp`, so that a fresh connection is tried.
 */
export class StallWatch {
  readonly #reader: Reader;
  readonly #listener: StallListener;
  readonly #giveUp: () => void;
  readonly #timer: NodeJS.Timeout;
  #writingSince: number | null = null;
  #reason: StallReason | null = null;
  #readBytes = 0;

  constructor(reader: Reader, listener: StallListener, giveUp: () => void) {
    this.#reader = reader;
    this.#listener = listener;
    this.#giveUp = giveUp;
    this.#timer = setInterval(() => this.#look(), everyMs);
  }

  /** Does what waits for PostgreSQL, and returns how long it took, in seconds. */
  async writing(work: () => Promise<void>): Promise<number> {
    const begun = performance.now();
    this.#writingSince = begun;
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
    if (writingMs > hopelessMs) this.#giveUp();
    if (writingMs > stuckMs) this.#enter('target-stuck');
    else this.#enter(this.#reader.silentMs > silentMs ? 'source-silent' : null);
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
