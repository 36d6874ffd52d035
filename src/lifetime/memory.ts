import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';

/** What the process takes before it holds any row. */
const baseBytes = 96 * 1024 * 1024;
const leastRoom = 16 * 1024 * 1024;

/** Bytes that rows in flight may take, by the limits of Node's heap, of the container or service, and of the machine. */
const room = Math.max(
  leastRoom,
  Math.min(
    getHeapStatistics().heap_size_limit,
    totalmem(),
    // 0 where there is no limit (https://nodejs.org/api/process.html#processconstrainedmemory).
    process.constrainedMemory() || Number.POSITIVE_INFINITY,
  ) - baseBytes,
);

/** This part of the memory that there is for rows, but no more than `most` bytes. */
export function roomFor(part: number, most: number): number {
  return Math.min(most, Math.floor(room * part));
}
