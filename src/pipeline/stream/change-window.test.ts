import { expect, it } from 'vitest';
import { TableChanges } from '../../change/table-changes.ts';
import { ChangeWindows } from './change-window.ts';

const schema = { table: 't', columns: [], primaryKey: [0] };

function deletions(...keys: string[]): TableChanges {
  const changes = new TableChanges(schema);
  for (const key of keys) changes.delete(key);
  return changes;
}

it('holds the keys that were brought since a low watermark, and no others', () => {
  const windows = new ChangeWindows();
  windows.watch('t');
  windows.record(deletions('early'));
  const low = windows.lowWatermark();
  windows.record(deletions('a', 'b'));
  const later = windows.lowWatermark();
  windows.record(deletions('b', 'c'));
  const window = windows.window('t', low);
  expect(window.keys().toSorted()).toEqual(['a', 'b', 'c']);
  expect(window.has('early')).toBe(false);
  expect(window.all).toBe(false);
  expect(windows.window('t', later).has('a')).toBe(false);
  windows.forget('t', later);
  expect(windows.window('t', low).keys().toSorted()).toEqual(['b', 'c']);
});

it('reports every key as changed after a table was emptied, for earlier low watermarks', () => {
  const windows = new ChangeWindows();
  windows.watch('t');
  const before = windows.lowWatermark();
  windows.record(deletions('a'));
  windows.lowWatermark();
  const emptied = new TableChanges(schema);
  emptied.truncate();
  windows.record(emptied);
  const after = windows.lowWatermark();
  windows.record(deletions('b'));
  expect(windows.window('t', before).all).toBe(true);
  expect(windows.window('t', after).all).toBe(false);
  expect(windows.window('t', after).keys()).toEqual(['b']);
});

it('holds a limited number of keys: beyond it, windows since the oldest low watermarks may hold any key', () => {
  const windows = new ChangeWindows();
  windows.watch('t');
  const lows: number[] = [];
  for (let round = 0; round < 8; round++) {
    lows.push(windows.lowWatermark());
    windows.record(deletions(...Array.from({ length: 100_000 }, (_, n) => `${round} ${n}`)));
  }
  expect(lows.map((low) => windows.window('t', low).all)).toEqual([true, true, true, ...Array<boolean>(5).fill(false)]);
  expect(windows.window('t', lows[3] ?? 0).keys().length).toBe(500_000);
  expect(windows.window('t', lows[0] ?? 0).keys().length).toBeLessThanOrEqual(500_000);
});
