import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RowLedger } from './row-ledger.ts';

type Row = readonly [key: string, hash: string];

const rows = fc.array(fc.tuple(fc.constantFrom('k', 'l', 'm'), fc.constantFrom('x', 'y', 'z')), { maxLength: 12 });

/** The simple algorithm: remove equal pairs, then pairs with the same key; the remaining rows are missing or extra. */
function byHand(source: readonly Row[], target: readonly Row[]): { missing: number; extra: number; different: number } {
  const left = [...target];
  const strike = (matches: (row: Row) => boolean) => {
    const at = left.findIndex(matches);
    if (at >= 0) left.splice(at, 1);
    return at >= 0;
  };
  const unequal = source.filter(([key, hash]) => !strike((row) => row[0] === key && row[1] === hash));
  const missing = unequal.filter(([key]) => !strike((row) => row[0] === key));
  return { missing: missing.length, extra: left.length, different: unequal.length - missing.length };
}

test('rows pair as in the simple algorithm for all keys, copies and orders', () => {
  fc.assert(
    fc.property(rows, rows, (source, target) => {
      const ledger = new RowLedger(5);
      for (const [key, hash] of source) ledger.addSource(key, hash);
      for (const [key, hash] of target) ledger.addTarget(key, hash);
      const reconciled = ledger.reconcile();
      const { missing, extra, different } = reconciled;
      expect({ missing, extra, different }).toEqual(byHand(source, target));
      expect(reconciled.missingKeys.length > 0).toBe(missing > 0);
      expect(reconciled.extraKeys.length + reconciled.secondKeys.length > 0).toBe(extra > 0);
      expect(reconciled.differentKeys.length > 0).toBe(different > 0);
    }),
    { numRuns: 2000 },
  );
});

test('names at most the requested number of keys of each kind', () => {
  const ledger = new RowLedger(2);
  for (let i = 0; i < 9; i++) ledger.addSource(`s${i}`, 'x');
  for (let i = 0; i < 9; i++) ledger.addTarget(`t${i}`, 'x');
  const { missing, extra, missingKeys, extraKeys } = ledger.reconcile();
  expect({ missing, extra, missingKeys, extraKeys }).toEqual({
    missing: 9,
    extra: 9,
    missingKeys: ['s0', 's1'],
    extraKeys: ['t0', 't1'],
  });
});
