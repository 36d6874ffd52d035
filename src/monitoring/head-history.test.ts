import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HeadHistory } from './head-history.ts';

function at(offset: number, file = 'binlog.000001') {
  return { file, offset, gtid: null };
}

test('the time of a position is unknown without a sample and without an applied transaction', () => {
  const history = new HeadHistory();
  expect(history.asOf(at(10), null)).toBeNull();
  history.add({ clock: 100, head: at(50) });
  expect(history.asOf(at(10), null)).toBeNull();
  expect(history.asOf(at(50), null)).toBe(100);
});

test('the samples bound the time that the binlog states', () => {
  const history = new HeadHistory();
  history.add({ clock: 100, head: at(10) });
  history.add({ clock: 200, head: at(20) });
  history.add({ clock: 300, head: at(30) });
  // Between the two samples around the position.
  expect(history.asOf(at(15), 150)).toBe(150);
  // The last transaction before a quiet night; then SET TIMESTAMP with a year in the future.
  expect(history.asOf(at(20), 7)).toBe(200);
  expect(history.asOf(at(20), 9_999_999)).toBe(300);
});

test('a sample of another process is sorted by time', () => {
  const history = new HeadHistory();
  history.add({ clock: 300, head: at(30) });
  history.add({ clock: 100, head: at(10) });
  history.add({ clock: 100, head: at(10) });
  expect(history.samples.map(({ clock }) => clock)).toEqual([100, 300]);
});

describe('with a sample a second, whatever the source does', () => {
  test('it gives the time of a position within a second or 5 %, and keeps few samples', () => {
    const commits = fc.array(fc.record({ gap: fc.double({ min: 0.001, max: 600, noNaN: true }) }), {
      minLength: 20,
      maxLength: 100,
      size: 'max',
    });
    fc.assert(
      fc.property(commits, fc.nat(), fc.boolean(), (gaps, cut, lies) => {
        let clock = 1_000;
        const written = gaps.map(({ gap }, index) => ({ clock: (clock += gap), head: at(index + 1) }));
        const applied = written[cut % written.length] ?? { clock: 0, head: at(0) };
        const next = written.find(({ head }) => head.offset === applied.head.offset + 1);
        const history = new HeadHistory();
        let seen = 0;
        // The service takes a sample each second. The target stays at `applied` all the time.
        for (let now = 1_000; now <= clock + 5; now++) {
          while ((written[seen]?.clock ?? Infinity) <= now) seen++;
          history.add({ clock: now, head: at(seen) });
          history.forgetBefore(at(0));
        }
        const now = Math.floor(clock + 5);
        const asOf = history.asOf(applied.head, lies ? 7 : Math.floor(applied.clock)) ?? Number.NaN;
        // How long ago the oldest change that is not applied was committed.
        const truth = next === undefined ? 0 : now - next.clock;
        expect(Math.abs(now - asOf - truth)).toBeLessThanOrEqual(Math.max(1, 0.055 * truth));
        expect(history.samples.length).toBeLessThan(400);
      }),
      { numRuns: 20 },
    );
  });
});
