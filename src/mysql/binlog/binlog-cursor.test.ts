import { expect, it } from 'vitest';
import { BinlogCursor } from './binlog-cursor.ts';
import type { EventHeader } from './event-header.ts';
import { mysqlGtids } from './gtid-progress.ts';

const header = (length: number, endPosition: number): EventHeader => ({
  timestamp: 0,
  type: 0,
  serverId: 1,
  length,
  endPosition,
  artificial: false,
  ignorable: false,
});

const cursorAt = (offset: number) => new BinlogCursor({ file: 'b.000001', offset, gtid: null }, mysqlGtids(null));

it('counts lengths where MariaDB gives no end position and trusts the end position where it does', () => {
  const cursor = cursorAt(100);
  cursor.advance(header(50, 0));
  cursor.advance(header(50, 0));
  expect(cursor.position.offset).toBe(200);
  cursor.advance(header(30, 260));
  expect(cursor.position.offset).toBe(260);
});

it('continues beyond 4 GiB, where end positions restart at 0', () => {
  const nearly = 2 ** 32 - 10;
  const cursor = cursorAt(nearly);
  cursor.advance(header(50, 40));
  expect(cursor.position.offset).toBe(2 ** 32 + 40);
});

it('does not move back when a dump by GTID starts at the head of the file', () => {
  const cursor = cursorAt(5_000);
  cursor.enterFile('b.000001', 4, true);
  cursor.advance(header(252, 256));
  expect(cursor.position.offset).toBe(5_000);
  cursor.advance(header(42, 5_042));
  expect(cursor.position.offset).toBe(5_042);
});

it('starts a new file at the position that the rotation names', () => {
  const cursor = cursorAt(5_000);
  cursor.enterFile('b.000002', 4, false);
  expect(cursor.position).toEqual({ file: 'b.000002', offset: 4, gtid: null });
});
