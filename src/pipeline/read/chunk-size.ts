import { roomFor } from '../../lifetime/memory.ts';
import type { ReadLimits } from '../../mysql/wire/row-packets.ts';

/** Milliseconds that a chunk's select may take. Writers wait for it on blocking engines; other engines read from a snapshot. */
const targetMs = {
  free: { blocking: 50, snapshotRead: 250 },
  considerate: { blocking: 6, snapshotRead: 10 },
} as const;
/** The bytes of COPY text that a chunk aims at. */
const targetBytes = roomFor(1 / 40, 8 * 1024 * 1024);
const maxBytes = 4 * targetBytes;
/**
 * Milliseconds after which reading a chunk stops. The time of the chunk before may not hold for this one. Rows that were not read for
 * years come from a cold disk, and the source may have become busy.
 */
const maxMs = { blocking: 200, snapshotRead: 500 } as const;
/** The limits of a table that is read without chunks. */
export const entireTableLimits: ReadLimits = { bytes: maxBytes, ms: 1_000 };
const firstRows = 500;
/**
 * The fewest rows that a chunk asks for. So few rows take only the time to get a turn, behind a writer's lock or on a busy processor. A
 * chunk that shrank with that time would never grow again.
 */
const leastRows = { free: 500, considerate: 100 } as const;
const maxRows = 100_000;

/**
 * How many rows the next chunk asks for. A chunk aims at a time, not at a number of rows. The time is short on MyISAM, where a select
 * blocks writers. It is longer on engines that read from a snapshot. It is shorter while others write. Bytes limit chunks of wide rows.
 */
export class ChunkSize {
  readonly #engine: 'blocking' | 'snapshotRead';
  readonly #maxRows: number;
  #rowsPerMs: number | null = null;
  #bytesPerRow = 1;
  /** A chunk has at most four times the rows of the one before: the first chunks of a cold table predict little about the rest. */
  #most = firstRows;

  constructor(engine: string, mostRows = maxRows) {
    this.#maxRows = mostRows;
    this.#engine = engine.toLowerCase() === 'innodb' ? 'snapshotRead' : 'blocking';
  }

  /** Where reading stops, however many rows were requested. */
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

  /** Learns from a chunk: its rows, the milliseconds that the source took, and its bytes. */
  observe(rows: number, elapsedMs: number, bytes: number): void {
    if (rows === 0) return;
    this.#rowsPerMs = rows / Math.max(elapsedMs, 0.5);
    this.#bytesPerRow = Math.max(1, bytes / rows);
    this.#most = Math.max(rows * 4, firstRows);
  }
}
