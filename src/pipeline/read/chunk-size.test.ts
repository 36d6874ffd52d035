import { expect, test } from 'vitest';
import { ChunkSize } from './chunk-size.ts';

const kilobyte = 1024;

test('a chunk has as many rows as the source reads in its time', () => {
  const size = new ChunkSize('InnoDB');
  for (let i = 0; i < 10; i++) size.observe(size.rows(true), size.rows(true) / 100, kilobyte);
  expect(size.rows(true)).toBe(25_000);
  expect(size.rows(false)).toBe(1_000);
});

test('chunks keep a least size when every answer is late', () => {
  const size = new ChunkSize('MyISAM');
  for (let i = 0; i < 50; i++) {
    const rows = size.rows(false);
    size.observe(rows, 60, rows * 100);
  }
  expect(size.rows(false)).toBe(100);
  expect(size.rows(true)).toBe(500);
});

test('a chunk of wide rows has few rows, but at least one', () => {
  const size = new ChunkSize('InnoDB');
  size.observe(3, 1, 3 * 4 * kilobyte * kilobyte);
  expect(size.rows(true)).toBe(2);
  size.observe(1, 1, 30 * kilobyte * kilobyte);
  expect(size.rows(true)).toBe(1);
});
