import fc from 'fast-check';
import { expect, it } from 'vitest';
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

it('distinguishes keys that can only be new from keys that may exist already', () => {
  const changes = new TableChanges(schema);
  changes.upsert('insert', '1', 0);
  changes.upsert('update', '1', 0);
  expect(changes.onlyInserts).toBe(true);
  changes.upsert('update', '2', 0);
  expect(changes.onlyInserts).toBe(false);
});
