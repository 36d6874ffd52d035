import type { StallReason } from '../service-listener.ts';

const everyMs = 1_000;
/** The source sends a heartbeat each second. The reader closes the connection after 15 s without one. */
const silentMs = 5_000;
/** A batch takes milliseconds; a batch full of changes takes a second or two. */
const stuckMs = 10_000;

/** What a stream reads from. */
interface Reader {
  /** Milliseconds since the source sent something; 0 while the socket is not read. */
  readonly silentMs: number;
  /** Bytes of binlog received so far. */
  readonly readBytes: number;
}

export interface StallListener {
  /** The stream is stalled from now on, for this reason; null: it moves again. */
  stalled(reason: StallReason | null): void;
  /** How many more bytes of binlog were received. */
  read(bytes: number): void;
}

/**
 * Checks each second whether a stream is stalled although both connections are open. Either the source sends nothing, or PostgreSQL
 * does not finish its work. It only reports; the connections' own watches replace what is dead.
 */
export class StallWatch {
  readonly #reader: Reader;
  readonly #listener: StallListener;
  readonly #timer: NodeJS.Timeout;
  #writingSince: number | null = null;
  #reason: StallReason | null = null;
  #readBytes = 0;

  constructor(reader: Reader, listener: StallListener) {
    this.#reader = reader;
    this.#listener = listener;
    this.#timer = setInterval(() => this.#look(), everyMs);
  }

  /** Does work that waits for PostgreSQL, and returns its duration in seconds. */
  async writing(work: () => Promise<void>): Promise<number> {
    const startedAt = performance.now();
    this.#writingSince = startedAt;
    try {
      await work();
      return (performance.now() - startedAt) / 1000;
    } finally {
      this.#writingSince = null;
    }
  }

  /** Another state follows the stream. A stall is not reported as over, because the stream does not move again. */
  close(): void {
    clearInterval(this.#timer);
    this.#reportRead();
  }

  #look(): void {
    this.#reportRead();
    const writingMs = this.#writingSince === null ? 0 : performance.now() - this.#writingSince;
    if (writingMs > stuckMs) this.#enter('target-stuck');
    else this.#enter(this.#reader.silentMs > silentMs ? 'source-silent' : null);
  }

  #reportRead(): void {
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
