import type { ReadLimits } from '../../mysql/wire/row-packets.ts';

/** Milliseconds a chunk's select may take: on engines where writers must wait for it, and on those that read from a snapshot. */
const targetMs = {
  free: { blocking: 50, snapshotRead: 250 },
  considerate: { blocking: 6, snapshotRead: 10 },
} as const;
/** How many bytes of COPY text a chunk aims at. */
const targetBytes = 8 * 1024 * 1024;
const maxBytes = 4 * targetBytes;
/**
 * Milliseconds at which reading a chunk stops. What the one before told may not hold for this one: rows that nobody has read for
 * years come from a cold disk, and the source may have got busy.
 */
const maxMs = { blocking: 200, snapshotRead: 500 } as const;
/** Of a table that has no chunks. */
export const wholeLimits: ReadLimits = { bytes: maxBytes, ms: 1_000 };
const firstRows = 500;
/**
 * Fewer rows are not asked for: what so few take is the time to get a turn, behind a writer's lock or on a busy processor, and a chunk
 * that shrank with it would never grow again.
 */
const leastRows = { free: 500, considerate: 100 } as const;
const maxRows = 100_000;

/**
 * How many rows the next chunk asks for. A chunk aims at a time, not at a number of rows: on MyISAM, where a select holds
 * writers up, a short one; on engines that read from a snapshot, a longer one; shorter where somebody writes. Wide rows are
 * bounded by bytes.
 */
export class ChunkSize {
  readonly #engine: 'blocking' | 'snapshotRead';
  readonly #maxRows: number;
  #rowsPerMs: number | null = null;
  #bytesPerRow = 1;
  /** Grow no more than fourfold at once: the first chunks of a cold table say little about the rest. */
  #most = firstRows;

  constructor(engine: string, mostRows = maxRows) {
    this.#maxRows = mostRows;
    this.#engine = engine.toLowerCase() === 'innodb' ? 'snapshotRead' : 'blocking';
  }

  /** Where reading stops, whatever was asked for. */
  get limits(): ReadLimits {
    return { bytes: maxBytes, ms: maxMs[this.#engine] };
  }

  rows(isFree: boolean): number {
    const pace = isFree ? 'free' : 'considerate';
    const aim = targetMs[pace][this.#engine];
    const byTime = this.#rowsPerMs === null ? firstRows : this.#rowsPerMs * aim;
    const byBytes = targetBytes / this.#bytesPerRow;
    return Math.max(1, Math.floor(Math.min(Math.max(byTime, leastRows[pace]), byBytes, this.#most, this.#maxRows)));
  }

  /** Learns from a chunk: how many rows it had, how long the source took, and how large it was. */
  observe(rows: number, elapsedMs: number, bytes: number): void {
    if (rows === 0) return;
    this.#rowsPerMs = rows / Math.max(elapsedMs, 0.5);
    this.#bytesPerRow = Math.max(1, bytes / rows);
    this.#most = Math.max(rows * 4, firstRows);
  }
}
