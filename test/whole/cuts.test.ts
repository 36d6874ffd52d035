import { expect, test } from 'vitest';
import { SeededRandom } from '../../testing/random/seeded-random.ts';
import { sharedServers } from '../support/shared-servers.ts';
import { faultsAt, inGroups, inWords } from './cuts/plan.ts';
import { type FaultKind, faultKinds, phases, play } from './cuts/scenario.ts';

/** `npm run cuts` goes through all of them. Here, one in each phase, spread over plays that go on at once. */
const plays = 3;
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
      .filter((group) => group.length > phases.length / 2)
      .slice(0, plays)
      .map((group, turn) => group.filter(({ step }) => phases.indexOf(step.phase) % plays === turn));
    const played = await Promise.all(
      sample.map(async (group) => ({ group: group.map(inWords), ...(await play(servers, group)) })),
    );
    for (const { group, wrong } of played) expect(wrong, group.join('\n')).toEqual([]);
    expect(played.flatMap(({ met }) => met).length).toBeGreaterThan(phases.length / 2);
  },
);
