import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { ChangeBatch } from '../../change/change-batch.ts';
import { mysqlGtids } from '../../mysql/binlog/gtid-progress.ts';
import { BatchQueue } from './batch-queue.ts';

const tableOf = (table: string) => ({ table, columns: [], primaryKey: [0] });
const start = { file: 'b.000001', offset: 4, gtid: null };
/** A batch in these tests. A row takes about 80 bytes. */
const batchBytes = 1_000;

class Reader {
  paused = false;
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
}

function queueWith(reader: Reader, bytes = batchBytes) {
  const queue = new BatchQueue(reader, mysqlGtids(null), { witnesses: [] }, start, bytes);
  const row = (key: string | number, value: string | number | null = 'x', table = 't') => {
    if (!queue.batch.open) queue.batch.begin();
    const { batch } = queue;
    const changes = batch.changes(tableOf(table));
    const before = changes.size;
    batch.rows++;
    if (value === null) changes.delete(String(key));
    else {
      const from = changes.lines.length;
      changes.lines.ascii(`${key}\t${value}\n`);
      changes.upsert('update', String(key), from);
    }
    batch.size += changes.size - before;
    queue.grown();
  };
  const truncate = (table = 't') => {
    if (!queue.batch.open) queue.batch.begin();
    queue.batch.truncate(tableOf(table));
  };
  const commit = (offset: number) => {
    queue.batch.commit({ position: { file: 'b.000001', offset, gtid: null }, committedAt: 1 });
    queue.boundary();
  };
  return { queue, row, truncate, commit };
}

/** What a target holds after these batches. */
function applyTo(target: Map<string, string>, batch: ChangeBatch | null): void {
  for (const [table, changes] of batch?.tables ?? []) {
    if (changes.truncated) for (const key of target.keys()) if (key.startsWith(`${table}:`)) target.delete(key);
    for (const key of changes.deletedKeys()) target.delete(`${table}:${key}`);
    for (const line of changes.upsertLines().toString('latin1').split('\n').slice(0, -1)) {
      const [key, value] = line.split('\t');
      target.set(`${table}:${key}`, value ?? '');
    }
  }
}

it('hands out a transaction at once when the applier is free, and a backlog in one batch', async () => {
  const { queue, row, commit } = queueWith(new Reader());
  const first = queue.take();
  row(1);
  commit(100);
  expect((await first)?.transactions).toBe(1);
  for (const offset of [200, 300, 400]) {
    row(offset);
    commit(offset);
  }
  const second = await queue.take();
  expect(second?.transactions).toBe(3);
  expect(second?.end?.position.offset).toBe(400);
});

it('waits for the end of a transaction that fits', async () => {
  const { queue, row, commit } = queueWith(new Reader());
  row(1);
  const taken = queue.take();
  row(2);
  let isTaken = false;
  void taken.then(() => (isTaken = true));
  await new Promise((resolve) => setImmediate(resolve));
  expect(isTaken).toBe(false);
  commit(100);
  expect((await taken)?.rows).toBe(2);
});

it('cuts a full batch at the last transaction end, and the open transaction follows as a whole', async () => {
  const reader = new Reader();
  const { queue, row, commit } = queueWith(reader);
  for (const n of [1, 2, 3, 4, 5]) row(`early ${n}`);
  queue.batch.suspended.set('before', 'in a complete transaction');
  commit(100);
  for (const n of [1, 2, 3, 4, 5, 6]) row(`late ${n}`);
  row('early 1', 'changed');
  queue.batch.suspended.set('after', 'in the open transaction');
  for (let n = 7; !reader.paused; n++) row(`late ${n}`);
  const complete = await queue.take();
  expect(complete).toMatchObject({ open: false, rows: 5, transactions: 1, end: { position: { offset: 100 } } });
  expect([...(complete?.suspended.keys() ?? [])]).toEqual(['before']);
  expect(complete?.tables.get('t')?.upsertLines().toString()).toContain('early 1\tx\n');
  expect(reader.paused).toBe(false);
  row('late 99');
  commit(200);
  const rest = await queue.take();
  expect(rest).toMatchObject({ open: false, transactions: 1, end: { position: { offset: 200 } } });
  expect([...(rest?.suspended.keys() ?? [])]).toEqual(['after']);
  const lines = rest?.tables.get('t')?.upsertLines().toString();
  expect(lines).toContain('early 1\tchanged\n');
  expect(lines).toContain('late 1\tx\n');
  expect(lines).not.toContain('early 2');
});

it('hands over the complete transactions before the parts of one that is larger than a batch', async () => {
  const reader = new Reader();
  const { queue, row, commit } = queueWith(reader);
  row('early');
  commit(100);
  row('large', 'x'.repeat(5_000));
  expect(reader.paused).toBe(true);
  expect(await queue.take()).toMatchObject({ open: false, rows: 1, end: { position: { offset: 100 } } });
  // The open transaction fills a batch already.
  expect(reader.paused).toBe(true);
  expect(await queue.take()).toMatchObject({ open: true, rows: 1, end: null });
  expect(reader.paused).toBe(false);
  const rest = queue.take();
  commit(200);
  expect(await rest).toMatchObject({ open: false, end: { position: { offset: 200 } } });
});

it('hands over complete transactions while a later one takes long to arrive', async () => {
  const { queue, row, commit } = queueWith(new Reader());
  row('early');
  commit(100);
  row('late');
  expect(await queue.take()).toMatchObject({ open: false, rows: 1, end: { position: { offset: 100 } } });
});

it('cuts twice: what was split off and is complete by now stays with its own transaction end', async () => {
  const { queue, row, commit } = queueWith(new Reader());
  row('first');
  commit(100);
  row('second');
  expect(await queue.take()).toMatchObject({ rows: 1, end: { position: { offset: 100 } } });
  commit(200);
  row('third');
  const again = await queue.take();
  expect(again).toMatchObject({ open: false, end: { position: { offset: 200 } } });
  expect(again?.tables.get('t')?.upsertLines().toString()).toBe('second\tx\n');
});

it('cuts any stream only where transactions end, and loses or repeats nothing', async () => {
  const step = fc.oneof(
    { weight: 12, arbitrary: fc.record({ do: fc.constant('row'), key: fc.nat(30), table: fc.constantFrom('t', 'u') }) },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant('delete'), key: fc.nat(30), table: fc.constantFrom('t', 'u') }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('truncate'), key: fc.nat(30), table: fc.constant('t') }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('commit'), key: fc.nat(30), table: fc.constant('t') }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('take'), key: fc.nat(30), table: fc.constant('t') }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 200 }), async (steps) => {
      const { queue, row, truncate, commit } = queueWith(new Reader(), 400);
      const states = new Map<number, string>([[4, '[]']]);
      const expected = new Map<string, string>();
      const target = new Map<string, string>();
      const state = (rows: Map<string, string>) => JSON.stringify([...rows].toSorted(([a], [b]) => (a < b ? -1 : 1)));
      let bytes = 0;
      const took = async () => {
        const batch = await queue.take();
        if (batch === null) return false;
        applyTo(target, batch);
        if (batch.open) expect(bytes).toBeGreaterThan(0);
        else if (batch.end !== null) expect(state(target)).toBe(states.get(batch.end.position.offset));
        return true;
      };
      for (const [offset, { do: what, key, table }] of [...steps, { do: 'commit', key: 0, table: 't' }].entries()) {
        const value = `v${offset}`;
        if (what === 'take') {
          if (queue.batch.end !== null && queue.batch.size > 0) await took();
        } else if (what === 'commit') {
          if (!queue.batch.open) continue;
          commit(offset + 100);
          states.set(offset + 100, state(expected));
          bytes = 0;
        } else if (what === 'truncate') {
          truncate(table);
          for (const name of expected.keys()) if (name.startsWith(`${table}:`)) expected.delete(name);
        } else {
          row(key, what === 'row' ? value : null, table);
          bytes += 64;
          if (what === 'row') expected.set(`${table}:${key}`, value);
          else expected.delete(`${table}:${key}`);
        }
        // The applier keeps up now and then, so that parts of a transaction occur as well.
        if (queue.batch.size > 400 && offset % 3 === 0) await took();
      }
      while (queue.batch.end !== null) if (!(await took())) break;
      expect(state(target)).toBe(state(expected));
    }),
    { numRuns: 150 },
  );
});

it('discards the batch being filled when the reader fails', async () => {
  const { queue, row } = queueWith(new Reader());
  row(1);
  const taken = queue.take();
  queue.fail(new Error('broken'));
  await expect(taken).rejects.toThrow('broken');
  await expect(queue.take()).rejects.toThrow('broken');
});

it('drops a transaction that the source never ended, with the parts that were handed over', async () => {
  const reader = new Reader();
  const { queue, row, commit } = queueWith(reader);
  row('kept', 1);
  commit(10);
  const large = () => {
    for (let i = 0; i < 40; i++) row(i, 'x');
  };
  large();
  expect(reader.paused).toBe(true);
  expect([...((await queue.take())?.tables.get('t')?.keys ?? [])]).toEqual(['kept']);
  const part = await queue.take();
  expect(part?.open).toBe(true);
  large();
  expect(reader.paused).toBe(true);
  queue.cutOff();
  expect(reader.paused).toBe(false);
  row('next', 1);
  commit(20);
  const next = await queue.take();
  expect(next).toMatchObject({ isCutOff: true, open: false, end: { position: { offset: 20 } } });
  expect([...(next?.tables.get('t')?.keys ?? [])]).toEqual(['next']);
});
