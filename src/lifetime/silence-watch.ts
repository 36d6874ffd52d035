import type { TidegateError } from '../errors/tidegate-error.ts';

const everyMs = 1_000;
/** Without a byte for so long, the server is asked whether it is at work on the statement. */
const silentMs = 10_000;
/** While nobody can be asked, as when the network is down, the connection is given so long. */
const hopelessMs = 60_000;

/** A connection as its watch sees it. */
export interface WatchedConnection {
  /** Bytes received and sent so far, by the socket's own count. */
  bytes(): number;
  /** Asks the server on another connection. Rejects within 10 s when no new connection works. */
  isAtWork(): Promise<boolean>;
  /** Reports that the server should answer and does not, or that it answers again, or that the connection is closed. */
  silent(now: 'silent' | 'speaking' | 'closed'): void;
  /** Destroys the connection. What waits for it fails with this error. */
  hangUp(error: TidegateError): void;
}

/**
 * Watches one connection while something is asked of it. Silence means that no bytes come or go and that the server is not at work: an
 * index build is work, and so is a wait for a lock. A silent connection is destroyed within 20 s while new ones work.
 */
export class SilenceWatch {
  readonly #connection: WatchedConnection;
  readonly #hangUpWith: (silentSeconds: number) => TidegateError;
  readonly #timer: NodeJS.Timeout;
  #asked = 0;
  #bytes = 0;
  #heardAt = 0;
  /** When the server last said that it is at work. */
  #atWorkAt = 0;
  #isAsking = false;
  #isSilent = false;

  constructor(connection: WatchedConnection, hangUpWith: (silentSeconds: number) => TidegateError) {
    this.#connection = connection;
    this.#hangUpWith = hangUpWith;
    this.#timer = setInterval(() => this.#look(), everyMs);
    this.#timer.unref();
  }

  /** Waits for an answer of the server, and watches the connection meanwhile. */
  async during<T>(answer: Promise<T>): Promise<T> {
    if (this.#asked++ === 0) this.#heardAt = performance.now();
    try {
      return await answer;
    } finally {
      this.#asked--;
    }
  }

  close(): void {
    clearInterval(this.#timer);
    if (this.#isSilent) this.#connection.silent('closed');
    this.#isSilent = false;
  }

  #look(): void {
    const now = performance.now();
    const bytes = this.#connection.bytes();
    if (this.#asked === 0 || bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#heardAt = now;
      this.#enter(false);
      return;
    }
    if (now - Math.max(this.#heardAt, this.#atWorkAt) >= silentMs && !this.#isAsking) void this.#ask(this.#heardAt);
  }

  async #ask(heardAt: number): Promise<void> {
    this.#isAsking = true;
    const isAtWork = await this.#connection.isAtWork().catch(() => null);
    this.#isAsking = false;
    // It spoke meanwhile.
    if (this.#heardAt !== heardAt || this.#asked === 0) return;
    const now = performance.now();
    if (isAtWork === true) {
      this.#atWorkAt = now;
      this.#enter(false);
      return;
    }
    this.#enter(true);
    if (isAtWork === false || now - heardAt >= hopelessMs)
      this.#connection.hangUp(this.#hangUpWith(Math.round((now - heardAt) / 1000)));
  }

  #enter(isSilent: boolean): void {
    if (isSilent === this.#isSilent) return;
    this.#isSilent = isSilent;
    this.#connection.silent(isSilent ? 'silent' : 'speaking');
  }
}
