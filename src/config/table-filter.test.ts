import { expect, it } from 'vitest';
import { tableFilter } from './table-filter.ts';

it('selects every table when both lists are empty, and exclusion wins', () => {
  expect(tableFilter({ include: [], exclude: [] })('patient')).toBe(true);
  const selected = tableFilter({ include: ['pat*', 'claim'], exclude: ['*_bak_*', 'patplan'] });
  expect(['patient', 'PATFIELD', 'claim', 'claimproc', 'patplan', 'patient_bak_2024'].map(selected)).toEqual([
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
});

it('treats every other character literally', () => {
  const selected = tableFilter({ include: ['a.c', 'x?z', '$t[1]'], exclude: [] });
  expect(['a.c', 'abc', 'xyz', 'xz', '$t[1]', '$t1'].map(selected)).toEqual([true, false, true, false, true, false]);
});
