import { expect, it } from 'vitest';
import { isOpen, parseWindow } from './snapshot-window.ts';

const at = (text: string, instant: string) => {
  const window = parseWindow(text);
  if (window === null) throw new Error(`${text} is no window`);
  return isOpen(window, new Date(instant));
};

it('is open from its first minute until before its last, also over midnight', () => {
  expect(at('21:00-06:00 UTC', '2024-05-01T20:59:59Z')).toBe(false);
  expect(at('21:00-06:00 UTC', '2024-05-01T21:00:00Z')).toBe(true);
  expect(at('21:00-06:00 UTC', '2024-05-02T00:00:00Z')).toBe(true);
  expect(at('21:00-06:00 UTC', '2024-05-02T05:59:59Z')).toBe(true);
  expect(at('21:00-06:00 UTC', '2024-05-02T06:00:00Z')).toBe(false);
  expect(at('09:30-10:00 UTC', '2024-05-02T09:45:00Z')).toBe(true);
  expect(at('09:30-10:00 UTC', '2024-05-02T10:00:00Z')).toBe(false);
});

it('follows the clock of its zone, including daylight saving time', () => {
  expect(at('21:00-22:00 America/Chicago', '2024-01-15T03:30:00Z')).toBe(true);
  expect(at('21:00-22:00 America/Chicago', '2024-07-15T03:30:00Z')).toBe(false);
  expect(at('21:00-22:00 America/Chicago', '2024-07-15T02:30:00Z')).toBe(true);
});

it.each(['', '21-06', '21:00', '24:00-06:00', '21:60-06:00', '21:00-21:00', '21:00-06:00 Nowhere/City', 'all day'])(
  'refuses %o',
  (text) => {
    expect(parseWindow(text)).toBeNull();
  },
);
