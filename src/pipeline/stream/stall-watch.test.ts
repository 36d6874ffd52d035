import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { StallWatch } from './stall-watch.ts';

let reader: { silentMs: number; readBytes: number };
let told: (string | null)[];
let givenUp: number;
let isAtWork: () => Promise<boolean>;
let watch: StallWatch;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  reader = { silentMs: 0, readBytes: 0 };
  told = [];
  givenUp = 0;
  isAtWork = async () => await Promise.resolve(false);
  watch = new StallWatch(
    reader,
    { stalled: (reason) => told.push(reason), read: () => undefined },
    async () => await isAtWork(),
    () => givenUp++,
  );
});

afterEach(() => {
  watch.close();
  vi.useRealTimers();
});

it('tells once that the source is silent, and once that it is not any more', () => {
  reader.silentMs = 4_000;
  vi.advanceTimersByTime(3_000);
  expect(told).toEqual([]);
  reader.silentMs = 6_000;
  vi.advanceTimersByTime(3_000);
  expect(told).toEqual(['source-silent']);
  reader.silentMs = 0;
  vi.advanceTimersByTime(3_000);
  expect(told).toEqual(['source-silent', null]);
});

it('tells that a batch is stuck, gives the connection up after five minutes, and not before', async () => {
  const done = Promise.withResolvers<void>();
  const writing = watch.writing(async () => await done.promise);
  vi.advanceTimersByTime(9_000);
  expect(told).toEqual([]);
  vi.advanceTimersByTime(3_000);
  expect(told).toEqual(['target-stuck']);
  vi.advanceTimersByTime(287_000);
  expect(givenUp).toBe(0);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(givenUp).toBe(1);
  done.resolve();
  await writing;
  vi.advanceTimersByTime(1_000);
  expect(told).toEqual(['target-stuck', null]);
});

it('waits on while PostgreSQL is at it, as long as that takes, and gives up when it cannot be asked', async () => {
  isAtWork = async () => await Promise.resolve(true);
  const done = Promise.withResolvers<void>();
  const writing = watch.writing(async () => await done.promise);
  await vi.advanceTimersByTimeAsync(3_000_000);
  expect(givenUp).toBe(0);
  isAtWork = async () => await Promise.reject(new Error('unreachable'));
  await vi.advanceTimersByTimeAsync(302_000);
  expect(givenUp).toBe(1);
  done.resolve();
  await writing;
});

it('takes a row of batches, each of them quick, for no stall', async () => {
  for (let batch = 0; batch < 30; batch++) {
    const done = Promise.withResolvers<void>();
    const writing = watch.writing(async () => await done.promise);
    vi.advanceTimersByTime(2_000);
    done.resolve();
    await writing;
  }
  expect(told).toEqual([]);
});

it('does not say that it moves again when the stream ends', () => {
  reader.silentMs = 6_000;
  vi.advanceTimersByTime(1_000);
  watch.close();
  vi.advanceTimersByTime(5_000);
  expect(told).toEqual(['source-silent']);
});
