import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { TidegateError } from '../errors/tidegate-error.ts';
import { SilenceWatch } from './silence-watch.ts';

let bytes: number;
let isAtWork: () => Promise<boolean>;
let reports: string[];
let hungUp: number[];
let watch: SilenceWatch;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  bytes = 0;
  reports = [];
  hungUp = [];
  isAtWork = async () => await Promise.resolve(false);
  watch = new SilenceWatch(
    {
      bytes: () => bytes,
      isAtWork: async () => await isAtWork(),
      silent: (now) => reports.push(now),
      hangUp: () => hungUp.push(performance.now()),
    },
    (seconds) => new TidegateError('target-unreachable', `silent for ${seconds} s`),
  );
});

afterEach(() => {
  watch.close();
  vi.useRealTimers();
});

/** An answer that does not come. */
async function never(): Promise<void> {
  await watch.during(new Promise<void>(() => undefined));
}

test('a connection that nobody asks is left alone, however silent it is', async () => {
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect([reports, hungUp]).toEqual([[], []]);
});

test('a connection that should answer and is not at work is hung up on within 20 s', async () => {
  const begun = performance.now();
  void never();
  await vi.advanceTimersByTimeAsync(9_000);
  expect(hungUp).toEqual([]);
  await vi.advanceTimersByTimeAsync(11_000);
  expect(reports).toEqual(['silent']);
  expect((hungUp[0] ?? Number.NaN) - begun).toBeLessThanOrEqual(20_000);
});

test('a server at work is waited for as long as it works', async () => {
  isAtWork = async () => await Promise.resolve(true);
  void never();
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect([reports, hungUp]).toEqual([[], []]);
  isAtWork = async () => await Promise.resolve(false);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(hungUp.length).toBeGreaterThan(0);
});

test('while no new connection works, either, it is given a minute, and speaks again without a reconnect', async () => {
  isAtWork = async () => await Promise.reject(new Error('unreachable'));
  void never();
  await vi.advanceTimersByTimeAsync(30_000);
  expect([reports, hungUp]).toEqual([['silent'], []]);
  bytes++;
  await vi.advanceTimersByTimeAsync(2_000);
  expect([reports, hungUp]).toEqual([['silent', 'speaking'], []]);
  await vi.advanceTimersByTimeAsync(75_000);
  expect(hungUp.length).toBeGreaterThan(0);
});

test('bytes that come or go are no silence, whatever they are part of', async () => {
  void never();
  for (let second = 0; second < 600; second++) {
    bytes++;
    await vi.advanceTimersByTimeAsync(1_000);
  }
  expect([reports, hungUp]).toEqual([[], []]);
});
