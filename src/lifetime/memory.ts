import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';

/** What the process takes before it holds any row. */
const baseBytes = 96 * 1024 * 1024;
const leastRoom = 16 * 1024 * 1024;

/** Of the machine, and of the container or service. 0 is no limit (https://nodejs.org/api/process.html#processconstrainedmemory). */
const memory = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
const room = (limit: number) => Math.max(leastRoom, limit - baseBytes);

/** Bytes that rows in flight may take: a part of the memory that there is, within the limit of Node's heap, but no more than `most`. */
export function roomFor(part: number, most: number): number {
  return Math.min(most, Math.floor(room(Math.min(memory, getHeapStatistics().heap_size_limit)) * part));
}

/** The same of buffers, which are outside of Node's heap. */
export function bufferRoomFor(part: number, most: number): number {
  return Math.min(most, Math.floor(room(memory) * part));
}
