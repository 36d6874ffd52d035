import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { RejectedRow } from './rejected-row.ts';
import { TableChanges } from './table-changes.ts';

const schema = { table: 't', columns: [], primaryKey: [0] };

type Step = {
  readonly kind: 'insert' | 'update' | 'delete' | 'truncate';
  readonly key: number;
  readonly value: number;
};

const step = fc.record({
  kind: fc.constantFrom<Step['kind']>('insert', 'update', 'update', 'delete', 'truncate'),
  key: fc.integer({ min: 0, max: 5 }),
  value: fc.integer({ min: 0, max: 1_000_000 }),
});

it('keeps exactly the last change of each key from any run of changes', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const changes = new TableChanges(schema);
      const expected = new Map<string, string | null>();
      let truncated = false;
      for (const { kind, key, value } of steps) {
        const name = String(key);
        if (kind === 'truncate') {
          changes.truncate();
          expected.clear();
          truncated = true;
        } else if (kind === 'delete') {
          changes.delete(name);
          expected.set(name, null);
        } else {
          const start = changes.lines.length;
          changes.lines.ascii(`${name}\t${value}`);
          changes.lines.newline();
          changes.upsert(kind, name, start);
          expected.set(name, `${name}\t${value}`);
        }
      }
      const rows = [...expected.values()].filter((line) => line !== null);
      const deleted = [...expected].filter(([, line]) => line === null).map(([key]) => key);
      expect(changes.upsertLines().toString('utf8').split('\n').slice(0, -1).toSorted()).toEqual(rows.toSorted());
      expect(changes.deletedKeys().toSorted()).toEqual(deleted.toSorted());
      expect(changes.upsertCount).toBe(rows.length);
      expect(changes.deleteCount).toBe(deleted.length);
      expect(changes.truncated).toBe(truncated);
    }),
  );
});

const row = (key: string, reason: string): RejectedRow => ({
  ...{ key, reason, column: null, sqlState: null, row: Buffer.from(key), format: 'copy' as const },
});

/** Everything that changes say. */
function told(changes: TableChanges) {
  const lines = changes.upsertLines().toString('utf8').split('\n').slice(0, -1);
  return {
    ...{ lines: lines.toSorted(), deleted: changes.deletedKeys().toSorted(), upserts: changes.upsertCount },
    ...{ keys: [...changes.keys].toSorted(), deletes: changes.deleteCount },
    rejected: [...changes.rejected].map(({ key, reason }) => `${key} ${reason}`).toSorted(),
    converted: [...changes.conversions.values()].map(({ column, count }) => `${column} ${count}`).toSorted(),
  };
}

it('gives back the last transaction, and keeps what there was before it', () => {
  const any = fc.record({
    kind: fc.constantFrom('insert', 'update', 'delete', 'reject', 'convert'),
    key: fc.integer({ min: 0, max: 5 }),
    value: fc.integer({ min: 0, max: 999 }),
  });
  const steps = fc.array(any, { maxLength: 20 });
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 3 }), steps, (earlier, last) => {
      const all = new TableChanges(schema);
      const [kept, part] = [new TableChanges(schema), new TableChanges(schema)];
      const apply = (changes: TableChanges, { kind, key, value }: (typeof last)[number]) => {
        if (kind === 'delete') changes.delete(String(key));
        else if (kind === 'reject') changes.reject(row(String(key), `reason ${value}`));
        else if (kind === 'convert') changes.converted([{ column: `c${key}`, kind: 'date-to-null', count: 1 }]);
        else {
          const start = changes.lines.length;
          changes.lines.ascii(`${key}\t${value}`);
          changes.lines.newline();
          changes.upsert(kind === 'insert' ? 'insert' : 'update', String(key), start);
        }
      };
      for (const [number, some] of earlier.entries()) {
        all.mark(number);
        for (const one of some) {
          apply(all, one);
          apply(kept, one);
        }
      }
      all.mark(earlier.length);
      for (const one of last) {
        apply(all, one);
        apply(part, one);
      }
      const given = all.splitOff(earlier.length);
      if (given === null) throw new Error('nothing was given back');
      expect(told(given)).toEqual(told(part));
      expect(told(all)).toEqual(told(kept));
      expect(all.onlyInserts).toBe(kept.onlyInserts);
      // It may be more careful: a key of an earlier transaction is not new.
      if (given.onlyInserts) expect(part.onlyInserts).toBe(true);
      expect(all.size).toBe(kept.size);
      // What follows goes on where the kept part ends.
      all.mark(99);
      apply(all, { kind: 'update', key: 3, value: 7 });
      apply(kept, { kind: 'update', key: 3, value: 7 });
      expect(told(all)).toEqual(told(kept));
    }),
  );
});

it('distinguishes keys that can only be new from keys that may exist already', () => {
  const changes = new TableChanges(schema);
  changes.upsert('insert', '1', 0);
  changes.upsert('update', '1', 0);
  expect(changes.onlyInserts).toBe(true);
  changes.upsert('update', '2', 0);
  expect(changes.onlyInserts).toBe(false);
});
