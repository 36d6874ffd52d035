import { expect, test } from 'vitest';
import { SeededRandom } from '../../testing/random/seeded-random.ts';
import { sharedServers } from '../support/shared-servers.ts';
import { type Step, phases, play } from './cuts/scenario.ts';

/** `npm run cuts` goes through all of them. Here, one for each side and phase, by turns. */
const kinds = ['cut', 'lose-answer', 'freeze'] as const;
const seed = 7;

test(
  'a connection that breaks or freezes, whichever statement it is at, neither ends the service nor keeps it from being right and from stopping',
  { timeout: 900_000 },
  async () => {
    const servers = sharedServers();
    const clean = await play(servers, null, 'cut');
    expect(clean.wrong).toEqual([]);
    const random = new SeededRandom(seed);
    let counted = 0;
    for (const [index, side] of (['source', 'target'] as const).entries())
      for (const [turn, phase] of phases.entries()) {
        const steps = clean.steps.filter((step) => step.side === side && step.phase === phase);
        if (steps.length === 0) continue;
        const step: Step = random.pick(steps);
        const kind = kinds[(index + turn) % kinds.length] ?? 'cut';
        const { cuts, wrong } = await play(servers, step, kind);
        expect(wrong, `${kind} at ${JSON.stringify(step)}`).toEqual([]);
        if (cuts > 0) counted++;
      }
    expect(counted).toBeGreaterThan(4);
  },
);
