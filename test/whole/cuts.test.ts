import { expect, test } from 'vitest';
import { SeededRandom } from '../../testing/random/seeded-random.ts';
import { sharedServers } from '../support/shared-servers.ts';
import { faultsAt, inGroups, inWords } from './cuts/plan.ts';
import { type FaultKind, faultKinds, play } from './cuts/scenario.ts';

/** `npm run cuts` goes through all of them. Here, some plays with one fault in each phase. */
const plays = 4;
const seed = 7;

test(
  'a connection that breaks or freezes, whichever statement it is at, neither ends the service nor keeps it from being right and from stopping',
  { timeout: 900_000 },
  async () => {
    const servers = sharedServers();
    const clean = await play(servers, []);
    expect(clean.wrong).toEqual([]);
    const random = new SeededRandom(seed);
    const faults = faultsAt(clean.steps, Object.keys(faultKinds) as FaultKind[], random);
    const sample = inGroups(faults, random)
      .filter((group) => group.length > 5)
      .slice(0, plays);
    const played = await Promise.all(
      sample.map(async (group) => ({ group: group.map(inWords), ...(await play(servers, group)) })),
    );
    for (const { group, wrong } of played) expect(wrong, group.join('\n')).toEqual([]);
    expect(played.flatMap(({ met }) => met).length).toBeGreaterThan(4 * plays);
  },
);
