import { expect, test } from 'vitest';
import { fuzzRound } from './fuzz/round.ts';
import { sharedServers } from '../support/shared-servers.ts';

test('random rows of random tables arrive unchanged through snapshot and stream', async () => {
  const { source, target } = sharedServers();
  const round = await fuzzRound(source, target, { seed: 20, tables: 5, rows: 400, seconds: 4, writers: 2 });
  expect(round.differences).toEqual([]);
  expect(round.snapshotRows).toBeGreaterThan(1_000);
  expect(round.streamRows).toBeGreaterThan(1_000);
});
