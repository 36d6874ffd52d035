/** How long a chunk's select may take, by whether writers must wait for it. */
const targetMs = { blocking: 50, snapshotRead: 250 } as const;
/** How many bytes of COPY text a chunk aims at. */
const targetBytes = 8 * 1024 * 1024;
/** Bytes at which reading a chunk stops, whatever was asked for. */
export const maxChunkBytes = 4 * targetBytes;
const firstRows = 500;
const maxRows = 100_000;

/**
 * How many rows the next chunk asks for. A chunk aims at a time, not at a number of rows: on MyISAM, where a select holds
 * writers up, a short one; on engines that read from a snapshot, a longer one. Wide rows are bounded by bytes.
 */
export class ChunkSize {
  rows = firstRows;
  readonly #targetMs: number;

  constructor(engine: string) {
    this.#targetMs = engine.toLowerCase() === 'innodb' ? targetMs.snapshotRead : targetMs.blocking;
  }

  /** Learns from a chunk: what it asked for and got, how long the source took, and how large it was. */
  observe(rows: number, elapsedMs: number, bytes: number): void {
    if (rows === 0) return;
    const byTime = rows * (this.#targetMs / Math.max(elapsedMs, 0.5));
    const byBytes = rows * (targetBytes / Math.max(bytes, 1));
    // Grow no more than fourfold at once: the first chunks of a cold table say little about the rest.
    this.rows = Math.max(1, Math.floor(Math.min(byTime, byBytes, this.rows * 4, maxRows)));
  }
}
