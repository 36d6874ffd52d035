import { expect, it } from 'vitest';
import type { RejectedRow } from '../../change/rejected-row.ts';
import type { TableSchema } from '../../definition/table-schema.ts';
import type { Difference } from '../../postgres/rows/row-diff.ts';
import type { TargetKeys } from '../../postgres/rows/target-keys.ts';
import { reconcile } from './reconciliation.ts';

const column = {
  fullType: 'int(11)',
  nullable: false,
  charset: null,
  length: null,
  precision: 10,
  scale: 0,
  fraction: 0,
};
const schema: TableSchema = { table: 't', columns: [{ name: 'id', type: 'int', ...column }], primaryKey: [0] };
const rejected: RejectedRow = {
  ...{ key: '3', reason: 'no text', column: null, sqlState: null, row: Buffer.from('3\n'), format: 'copy' },
};
const difference: Difference = {
  ...{
    lines: Buffer.from('1\n2\n'),
    rejected: [rejected],
    missing: [0],
    different: [1],
    extra: [],
    outdated: [],
    more: null,
  },
};
/** No row is extra, so the target is not asked. */
const noKeys = { among: async () => await Promise.resolve(new Set<number>()) } as unknown as TargetKeys;

it('returns every undecided row as unknown when the stream brought more keys than the change window holds', async () => {
  const all = { all: true, has: (key: string) => key === '2', keys: () => ['2'] };
  const reconciliation = await reconcile(difference, new Map(), all, schema, noKeys, false, 10);
  expect(reconciliation.unknown).toEqual([['1'], ['3']]);
  expect(reconciliation.changing).toEqual([['2']]);
  expect(reconciliation.counts).toEqual({ missing: 0, extra: 0, different: 0, rejected: 0 });
  expect(reconciliation.changes.keyCount).toBe(0);
});

it('counts rows that the stream did not bring, and leaves the others to the stream', async () => {
  const some = { all: false, has: (key: string) => key === '2', keys: () => ['2'] };
  const reconciliation = await reconcile(difference, new Map(), some, schema, noKeys, false, 10);
  expect(reconciliation.unknown).toEqual([]);
  expect(reconciliation.changing).toEqual([['2']]);
  expect(reconciliation.counts).toEqual({ missing: 1, extra: 0, different: 0, rejected: 1 });
});
