import { expect, it } from 'vitest';
import { mysqlGtids } from '../../mysql/binlog/gtid-progress.ts';
import { BatchQueue } from './batch-queue.ts';

const schema = { table: 't', columns: [], primaryKey: [0] };
const start = { file: 'b.000001', offset: 4, gtid: null };

class Reader {
  paused = false;
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
}

function queueWith(reader: Reader) {
  const queue = new BatchQueue(reader, mysqlGtids(null), start);
  const row = (bytes: number) => {
    queue.batch.open = true;
    queue.batch.changes(schema).delete(`key ${queue.batch.rows++}`);
    queue.batch.size += bytes;
    queue.grown();
  };
  const commit = (offset: number) => {
    queue.batch.open = false;
    queue.batch.transactions++;
    queue.batch.end = { position: { file: 'b.000001', offset, gtid: null }, committedAt: 1 };
    queue.boundary();
  };
  return { queue, row, commit };
}

it('hands out a transaction at once when the applier is free, and a backlog in one batch', async () => {
  const { queue, row, commit } = queueWith(new Reader());
  const first = queue.take();
  row(10);
  commit(100);
  expect((await first)?.transactions).toBe(1);
  for (const offset of [200, 300, 400]) {
    row(10);
    commit(offset);
  }
  const second = await queue.take();
  expect(second?.transactions).toBe(3);
  expect(second?.end?.position.offset).toBe(400);
});

it('never cuts a transaction that fits', async () => {
  const { queue, row, commit } = queueWith(new Reader());
  row(10);
  const taken = queue.take();
  row(10);
  let isTaken = false;
  void taken.then(() => (isTaken = true));
  await new Promise((resolve) => setImmediate(resolve));
  expect(isTaken).toBe(false);
  commit(100);
  expect((await taken)?.rows).toBe(2);
});

it('pauses the reader when a full batch waits, hands it out as an open part, and resumes', async () => {
  const reader = new Reader();
  const { queue, row, commit } = queueWith(reader);
  row(64 * 1024 * 1024);
  expect(reader.paused).toBe(true);
  const part = await queue.take();
  expect(part?.open).toBe(true);
  expect(reader.paused).toBe(false);
  const rest = queue.take();
  commit(100);
  expect((await rest)?.open).toBe(false);
});

it('discards the batch being filled when the reader fails', async () => {
  const { queue, row } = queueWith(new Reader());
  row(10);
  const taken = queue.take();
  queue.fail(new Error('broken'));
  await expect(taken).rejects.toThrow('broken');
  await expect(queue.take()).rejects.toThrow('broken');
});
