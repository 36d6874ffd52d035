import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';

/** What the process takes before it holds any row. */
const baseBytes = 96 * 1024 * 1024;
const leastRoom = 16 * 1024 * 1024;

/** The limit of a container: of cgroup 2, or of cgroup 1. */
const limitFiles = ['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes'];

/** Bytes that rows in flight may take, by the limits of Node's heap, of the container and of the machine. */
const room = Math.max(
  leastRoom,
  Math.min(getHeapStatistics().heap_size_limit, totalmem(), ...limitFiles.map(limitIn)) - baseBytes,
);

/** This part of the memory that there is for rows, but no more than `most` bytes. */
export function roomFor(part: number, most: number): number {
  return Math.min(most, Math.floor(room * part));
}

/** A limit that is not set reads `max`, or is missing with its file. */
function limitIn(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8')) || Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
