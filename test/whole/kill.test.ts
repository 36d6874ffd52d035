import { expect, test } from 'vitest';
import { KillRound } from './kill/kill-round.ts';
import { sharedServers } from '../support/shared-servers.ts';

/** `npm run soak` goes on for as many as are wanted. */
const kills = 12;

test(
  `${kills} kills at failpoints and at random moments, snapshot included: nothing lost, doubled or torn`,
  { timeout: 900_000 },
  async () => {
    const { source, target } = sharedServers();
    const seed = Number(process.env['TIDEGATE_TEST_SEED'] ?? Date.now() % 1_000_000);
    const deaths: string[] = [`seed ${seed}`];
    const round = await KillRound.prepare({
      source,
      target,
      kills,
      seed,
      sizes: { wide: 90_000, composite: 40_000, myisam: 50_000 },
      isCrashSafe: false,
      say: (death) => deaths.push(death),
    });
    await round.kill();
    const { wrong, polls, phases } = await round.finish();
    const history = deaths.join('\n');
    expect(wrong, history).toEqual([]);
    expect(polls, history).toBeGreaterThan(20);
    expect(phases['snapshot'] ?? 0, history).toBeGreaterThan(0);
    await round.replica.drop();
  },
);
