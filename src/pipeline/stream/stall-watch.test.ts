import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { StallWatch } from './stall-watch.ts';

let reader: { silentMs: number; readBytes: number };
let reports: (string | null)[];
let givenUp: number;
let isAtWork: () => Promise<boolean>;
let watch: StallWatch;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  reader = { silentMs: 0, readBytes: 0 };
  reports = [];
  givenUp = 0;
  isAtWork = async () => await Promise.resolve(false);
  watch = new StallWatch(
    reader,
    { stalled: (reason) => reports.push(reason), read: () => undefined },
    async () => await isAtWork(),
    () => givenUp++,
  );
});

afterEach(() => {
  watch.close();
  vi.useRealTimers();
});

it('reports once that the source is silent, and once that it is not any more', () => {
  reader.silentMs = 4_000;
  vi.advanceTimersByTime(3_000);
  expect(reports).toEqual([]);
  reader.silentMs = 6_000;
  vi.advanceTimersByTime(3_000);
  expect(reports).toEqual(['source-silent']);
  reader.silentMs = 0;
  vi.advanceTimersByTime(3_000);
  expect(reports).toEqual(['source-silent', null]);
});

it('reports that a batch is stuck, and gives up the connection after five minutes, not before', async () => {
  const done = Promise.withResolvers<void>();
  const writing = watch.writing(async () => await done.promise);
  vi.advanceTimersByTime(9_000);
  expect(reports).toEqual([]);
  vi.advanceTimersByTime(3_000);
  expect(reports).toEqual(['target-stuck']);
  vi.advanceTimersByTime(287_000);
  expect(givenUp).toBe(0);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(givenUp).toBe(1);
  done.resolve();
  await writing;
  vi.advanceTimersByTime(1_000);
  expect(reports).toEqual(['target-stuck', null]);
});

it('waits as long as PostgreSQL works, and gives up when PostgreSQL cannot be asked', async () => {
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

it('reports no stall for a series of quick batches', async () => {
  for (let batch = 0; batch < 30; batch++) {
    const done = Promise.withResolvers<void>();
    const writing = watch.writing(async () => await done.promise);
    vi.advanceTimersByTime(2_000);
    done.resolve();
    await writing;
  }
  expect(reports).toEqual([]);
});

it('does not report that the stream moves again when it ends', () => {
  reader.silentMs = 6_000;
  vi.advanceTimersByTime(1_000);
  watch.close();
  vi.advanceTimersByTime(5_000);
  expect(reports).toEqual(['source-silent']);
});
