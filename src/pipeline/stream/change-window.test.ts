import { expect, it } from 'vitest';
import { TableChanges } from '../../change/table-changes.ts';
import { ChangeWindows } from './change-window.ts';

const schema = { table: 't', columns: [], primaryKey: [0] };

function deletions(...keys: string[]): TableChanges {
  const changes = new TableChanges(schema);
  for (const key of keys) changes.delete(key);
  return changes;
}

it('tells the keys that were brought since a moment, and no others', () => {
  const touched = new ChangeWindows();
  touched.watch('t');
  touched.record(deletions('early'));
  const mark = touched.lowWatermark();
  touched.record(deletions('a', 'b'));
  const later = touched.lowWatermark();
  touched.record(deletions('b', 'c'));
  const since = touched.window('t', mark);
  expect(since.keys().toSorted()).toEqual(['a', 'b', 'c']);
  expect(since.has('early')).toBe(false);
  expect(since.all).toBe(false);
  expect(touched.window('t', later).has('a')).toBe(false);
  touched.forget('t', later);
  expect(touched.window('t', mark).keys().toSorted()).toEqual(['b', 'c']);
});

it('of a table that was emptied, every key counts as touched for whoever asks about a moment before', () => {
  const touched = new ChangeWindows();
  touched.watch('t');
  const before = touched.lowWatermark();
  touched.record(deletions('a'));
  touched.lowWatermark();
  const emptied = new TableChanges(schema);
  emptied.truncate();
  touched.record(emptied);
  const after = touched.lowWatermark();
  touched.record(deletions('b'));
  expect(touched.window('t', before).all).toBe(true);
  expect(touched.window('t', after).all).toBe(false);
  expect(touched.window('t', after).keys()).toEqual(['b']);
});

it('holds a bounded number of keys, however long nobody asks: the oldest moments are given up for any key', () => {
  const touched = new ChangeWindows();
  touched.watch('t');
  const marks: number[] = [];
  for (let round = 0; round < 8; round++) {
    marks.push(touched.lowWatermark());
    touched.record(deletions(...Array.from({ length: 100_000 }, (_, n) => `${round} ${n}`)));
  }
  expect(marks.map((mark) => touched.window('t', mark).all)).toEqual([
    true,
    true,
    true,
    ...Array<boolean>(5).fill(false),
  ]);
  expect(touched.window('t', marks[3] ?? 0).keys().length).toBe(500_000);
  expect(touched.window('t', marks[0] ?? 0).keys().length).toBeLessThanOrEqual(500_000);
});
