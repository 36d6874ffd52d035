import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { StallWatch } from './stall-watch.ts';

let reader: { silentMs: number; readBytes: number };
let reports: (string | null)[];
let watch: StallWatch;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  reader = { silentMs: 0, readBytes: 0 };
  reports = [];
  watch = new StallWatch(reader, { stalled: (reason) => reports.push(reason), read: () => undefined });
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

it('reports that a batch is stuck until it is finished', async () => {
  const done = Promise.withResolvers<void>();
  const writing = watch.writing(async () => await done.promise);
  vi.advanceTimersByTime(9_000);
  expect(reports).toEqual([]);
  vi.advanceTimersByTime(3_000);
  expect(reports).toEqual(['target-stuck']);
  done.resolve();
  await writing;
  vi.advanceTimersByTime(1_000);
  expect(reports).toEqual(['target-stuck', null]);
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
