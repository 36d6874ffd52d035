import type { SeededRandom } from '../../../testing/random/seeded-random.ts';

/** The points where the program can kill itself: `TIDEGATE_FAILPOINT=<name>:<n>` kills it at the n-th pass. */
export const snapshotFailpoints = ['chunk-copied', 'chunk-committed'] as const;
export const streamFailpoints = ['batch-applied', 'checkpoint-written', 'committed'] as const;
export const jobFailpoints = ['chunk-merged', 'job-advanced'] as const;
export type Failpoint = (typeof snapshotFailpoints | typeof streamFailpoints | typeof jobFailpoints)[number];

/** How one life of the program ends. */
export type Death =
  | { readonly by: 'failpoint'; readonly name: Failpoint; readonly nth: number }
  /** SIGKILL after this delay from the named log line. */
  | { readonly by: 'signal'; readonly after: 'starting' | 'snapshot started' | 'streaming'; readonly delayMs: number };

/**
 * The next death. Half of them are at a failpoint, half at a random moment. Before the snapshot is complete, only the failpoints
 * of the snapshot are used.
 */
export function planDeath(kill: number, snapshotDone: boolean, random: SeededRandom): Death {
  if (kill % 2 === 0) {
    if (!snapshotDone) return { by: 'failpoint', name: random.pick(snapshotFailpoints), nth: random.int(1, 4) };
    return random.chance(0.4)
      ? { by: 'failpoint', name: random.pick(jobFailpoints), nth: random.int(1, 5) }
      : { by: 'failpoint', name: random.pick(streamFailpoints), nth: random.int(1, 12) };
  }
  if (random.chance(0.3)) return { by: 'signal', after: 'starting', delayMs: random.int(0, 1_000) };
  return snapshotDone
    ? { by: 'signal', after: 'streaming', delayMs: random.int(0, 1_200) }
    : { by: 'signal', after: 'snapshot started', delayMs: random.int(0, 700) };
}
