import { expect, it } from 'vitest';
import { comparePositions } from './position.ts';

const at = (file: string, offset: number) => ({ file, offset, gtid: null });

it('orders by the number in the file name, then by offset', () => {
  expect(comparePositions(at('b.000001', 900), at('b.000002', 4))).toBeLessThan(0);
  expect(comparePositions(at('b.000002', 5), at('b.000002', 4))).toBeGreaterThan(0);
  expect(comparePositions(at('b.000002', 4), at('b.000002', 4))).toBe(0);
});

it('orders b.1000000 after b.999999, although the names sort otherwise as text', () => {
  expect(comparePositions(at('b.999999', 4), at('b.1000000', 4))).toBeLessThan(0);
});
