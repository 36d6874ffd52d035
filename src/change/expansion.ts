import { roomFor } from '../lifetime/memory.ts';

/** What real data hardly exceeds. Data that is made to exhaust the memory becomes a thousand times as large. */
const mostTimes = 100;
/** Allowed whatever the ratio is. */
const always = 4 * 1024 * 1024;
const mostInflated = roomFor(2 / 5, 64 * 1024 * 1024);
const mostAdded = roomFor(2 / 5, 128 * 1024 * 1024);

/**
 * The most bytes that this many compressed bytes may become. What the source states about itself must not decide how much memory is taken:
 * a few bytes can state gigabytes, and can become them.
 */
export function inflatedLimit(received: number): number {
  return Math.min(mostInflated, Math.max(always, received * mostTimes));
}

/** The most bytes that an event of this many received bytes may add to a batch. A single row may be larger, up to `mostRowBytes`. */
export function addedLimit(received: number): number {
  return Math.min(mostAdded, Math.max(always, received * mostTimes));
}
