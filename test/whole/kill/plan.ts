import type { SeededRandom } from '../../../testing/random/seeded-random.ts';

/** The points where the program can kill itself: `TIDEGATE_FAILPOINT=<name>:<n>` kills it at the n-th pass. */
export const snapshotFailpoints = ['chunk-copied', 'chunk-committed'] as const;
export const streamFailpoints = ['batch-applied', 'checkpoint-written', 'committed'] as const;
export type Failpoint = (typeof snapshotFailpoints)[number] | (typeof streamFailpoints)[number];

/** How one life of the program ends. */
export type Death =
  | { readonly by: 'failpoint'; readonly name: Failpoint; readonly nth: number }
  /** SIGKILL after this delay from the start, or from the named log line. */
  | { readonly by: 'signal'; readonly after: 'start' | 'snapshot started' | 'streaming'; readonly delayMs: number };

/**
 * The next death. Half of them are at a failpoint, half at a random moment. Before the snapshot is complete, only the failpoints
 * of the snapshot are used.
 */
export function planDeath(kill: number, snapshotDone: boolean, random: SeededRandom): Death {
  if (kill % 2 === 0) {
    const name = snapshotDone ? random.pick(streamFailpoints) : random.pick(snapshotFailpoints);
    return { by: 'failpoint', name, nth: snapshotDone ? random.int(1, 12) : random.int(1, 4) };
  }
  if (random.chance(0.3)) return { by: 'signal', after: 'start', delayMs: random.int(100, 1_800) };
  return snapshotDone
    ? { by: 'signal', after: 'streaming', delayMs: random.int(0, 1_200) }
    : { by: 'signal', after: 'snapshot started', delayMs: random.int(0, 700) };
}
