import { expect, test } from 'vitest';
import { SeededRandom } from '../../testing/random/seeded-random.ts';
import { wholeEvents } from './hostile/events.ts';
import { hostileRound } from './hostile/round.ts';

test('whatever an event, a document or a packet states, it leads to a clear error, in time and memory that are bounded', () => {
  const { inputs, outcomes, wrong } = hostileRound(7, 9_500);
  expect(wrong).toEqual([]);
  expect(inputs).toBe(9_500);
  // Damage is seen, and not everything is refused at the door.
  expect([...outcomes.keys()]).toEqual(
    expect.arrayContaining(['binlog-damaged', 'invalid value', 'source-unreachable', 'no error']),
  );
});

test('the events that are damaged there would be read if they were whole', () => {
  const { rows, suspended } = wholeEvents(new SeededRandom(1));
  expect(suspended).toEqual([]);
  expect(rows).toBeGreaterThan(1);
});
