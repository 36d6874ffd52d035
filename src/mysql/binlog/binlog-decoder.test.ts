import { GroupHistory } from './group-history.ts';
import { crc32, deflateSync, zstdCompressSync } from 'node:zlib';
import { beforeEach, describe, expect, it } from 'vitest';
import { ChangeBatch } from '../../change/change-batch.ts';
import type { ColumnSchema } from '../../definition/table-schema.ts';
import { type TableCodec, tableCodec } from '../../mapping/table-codec.ts';
import { BinlogCursor } from './binlog-cursor.ts';
import { BinlogDecoder } from './binlog-decoder.ts';
import { eventType } from './event-header.ts';
import { mysqlGtids } from './gtid-progress.ts';
import { StreamTables } from './stream-tables.ts';

const column = (name: string, type: string): ColumnSchema => ({
  name,
  type,
  fullType: type,
  nullable: true,
  charset: null,
  length: null,
  precision: null,
  scale: null,
  fraction: 0,
});
const codec = tableCodec({
  table: 'beat',
  columns: [column('id', 'int'), column('n', 'int')],
  primaryKey: [0],
}) as TableCodec;
const start = { file: 'b.000001', offset: 100, gtid: null };

let batch: ChangeBatch;
let decoder: BinlogDecoder;
let position: number;

beforeEach(() => {
  batch = new ChangeBatch();
  position = start.offset;
  decoder = decoding(codec);
});

function decoding(codec: TableCodec): BinlogDecoder {
  return new BinlogDecoder(
    new BinlogCursor(start, mysqlGtids(null)),
    new StreamTables('clinic', false, [{ codec, from: start }]),
    { batch, boundary: () => undefined, grown: () => undefined, cutOff: () => undefined },
    new GroupHistory(start, []),
    1,
    true,
  );
}

/** An event as a server with checksums sends it. */
function event(type: number, body: Buffer, flags = 0): Buffer {
  const bytes = Buffer.alloc(19 + body.length + 4);
  position += bytes.length;
  bytes.writeUInt32LE(1_700_000_000, 0);
  bytes[4] = type;
  bytes.writeUInt32LE(1, 5);
  bytes.writeUInt32LE(bytes.length, 9);
  bytes.writeUInt32LE(position, 13);
  bytes.writeUInt16LE(flags, 17);
  body.copy(bytes, 19);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, -4)), bytes.length - 4);
  return bytes;
}

const feed = (bytes: Buffer) => decoder.event(bytes, 0, bytes.length);
const query = (sql: string) =>
  event(eventType.query, Buffer.concat([Buffer.alloc(8), Buffer.of(6, 0, 0, 0, 0), Buffer.from(`clinic\0${sql}`)]));
const tableNames = Buffer.concat([
  Buffer.of(7, 0, 0, 0, 0, 0, 0, 0, 6),
  Buffer.from('clinic\0'),
  Buffer.of(4),
  Buffer.from('beat\0'),
]);
const tableMap = (types: readonly number[]) =>
  event(eventType.tableMap, Buffer.concat([tableNames, Buffer.of(types.length, ...types, 0, 0)]));
const int = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
};
const row = (id: number, n: number) => Buffer.concat([Buffer.of(0), int(id), int(n)]);
const rows = (type: number, present: readonly number[], ...images: readonly Buffer[]) =>
  event(type, Buffer.concat([Buffer.of(7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, ...present), ...images]));
const xid = () => event(eventType.xid, Buffer.alloc(8));

describe('a transaction', () => {
  it('is the net effect of its rows, and ends where its Xid ends', () => {
    feed(query('BEGIN'));
    feed(tableMap([3, 3]));
    feed(rows(eventType.writeRows, [3], row(1, 10), row(2, 20)));
    feed(rows(eventType.updateRows, [3, 3], row(1, 10), row(5, 11)));
    feed(rows(eventType.deleteRows, [3], row(2, 20)));
    expect(batch.open).toBe(true);
    feed(xid());
    expect(batch.open).toBe(false);
    expect(batch.end?.position).toMatchObject({ file: 'b.000001', offset: position });
    const changes = batch.changes(codec.schema);
    expect(changes.upsertLines().toString()).toBe('5\t11\n');
    expect(changes.deletedKeys().toSorted()).toEqual(['1', '2']);
  });
});

describe('table ids', () => {
  it('are known until their transaction ends, whatever their number', () => {
    const named = (id: number) => {
      const body = Buffer.concat([Buffer.of(0, 0, 0, 0, 0, 0, 0, 0, 6), Buffer.from('clinic\0'), Buffer.of(4)]);
      body.writeUIntLE(id, 0, 6);
      return event(eventType.tableMap, Buffer.concat([body, Buffer.from('beat\0'), Buffer.of(2, 3, 3, 0, 0)]));
    };
    for (const [first, count] of [
      [7, 3_000],
      [2 ** 40, 3_000],
    ] as const) {
      feed(query('BEGIN'));
      for (let i = count; i >= 0; i--) feed(named(first + i));
      feed(named(7));
      feed(rows(eventType.writeRows, [3], row(first % 1000, 1)));
      feed(xid());
    }
    expect(batch.changes(codec.schema).keyCount).toBe(2);
  });
});

describe('MySQL 8.3 and later', () => {
  it('tags GTIDs', () => {
    const progress = mysqlGtids('61653411-e870-11f1-a205-02fc00000001:1-2');
    const tables = new StreamTables('clinic', false, [{ codec, from: start }]);
    const filler = { batch, boundary: () => undefined, grown: () => undefined, cutOff: () => undefined };
    decoder = new BinlogDecoder(
      new BinlogCursor(start, progress),
      tables,
      filler,
      new GroupHistory(start, []),
      1,
      true,
    );
    // As MySQL 9.7 wrote them for number 1 of tag clinic, and number 300.
    for (const body of [
      '027000000002c2ca6822a103e022c50389020a04f103000000020404060c636c696e696308080a0c0c7f8682bad40f61061029041283120b',
      '027400000002c2ca6822a103e022c50389020a04f10300000002046109060c636c696e696308080a81090c7fc4caced40f61061031041283120b',
    ]) {
      feed(event(eventType.gtidTagged, Buffer.from(body, 'hex')));
      feed(query('BEGIN'));
      feed(xid());
    }
    expect(progress.text).toBe('61653411-e870-11f1-a205-02fc00000001:1-2:clinic:1:300');
    expect(() => feed(event(eventType.gtidTagged, Buffer.of(4, 0, 0)))).toThrow(
      expect.objectContaining({ kind: 'binlog-damaged' }),
    );
  });
});

describe('LOAD DATA that is logged as a statement', () => {
  const load = (database: string, sql: string) => {
    const head = Buffer.concat([Buffer.alloc(8), Buffer.of(database.length, 0, 0, 0, 0), Buffer.alloc(13)]);
    return event(eventType.executeLoadQuery, Buffer.concat([head, Buffer.from(`${database}\0${sql}`)]));
  };

  it('suspends the tables of its database, and changes nothing for another one', () => {
    feed(event(eventType.beginLoadQuery, Buffer.alloc(8)));
    feed(load('other', "LOAD DATA INFILE 'x' INTO TABLE `beat`"));
    expect(batch.suspended.size).toBe(0);
    feed(load('clinic', "LOAD DATA INFILE 'x' INTO TABLE `beat`"));
    expect([...batch.suspended.keys()]).toEqual(['beat']);
  });
});

describe('a compressed transaction', () => {
  /** An event without a checksum, as a payload holds it. */
  const inner = (bytes: Buffer) => {
    const bare = Buffer.from(bytes.subarray(0, -4));
    bare.writeUInt32LE(bare.length, 9);
    return bare;
  };
  const payload = (content: Buffer, size = content.length) => {
    const sizeBytes = Buffer.alloc(5, 0xfe);
    sizeBytes.writeUInt32LE(size, 1);
    const sized = Buffer.concat([Buffer.of(3, 9), sizeBytes, Buffer.alloc(4)]);
    return event(
      eventType.transactionPayload,
      Buffer.concat([Buffer.of(2, 1, 0), sized, Buffer.of(0), zstdCompressSync(content)]),
    );
  };

  it('is read like one that is not', () => {
    const before = position;
    const events = [query('BEGIN'), tableMap([3, 3]), rows(eventType.writeRows, [3], row(1, 10)), xid()].map(inner);
    position = before;
    feed(payload(Buffer.concat(events)));
    expect(batch.open).toBe(false);
    expect(batch.end?.position).toMatchObject({ offset: position });
    expect(batch.changes(codec.schema).upsertLines().toString()).toBe('1\t10\n');
  });

  it('suspends the tables of the database if it is too large to be held, and is passed', () => {
    feed(payload(Buffer.of(0), 2 ** 31));
    expect([...batch.suspended.keys()]).toEqual(['beat']);
    expect(batch.end?.position).toMatchObject({ offset: position });
    feed(query('BEGIN'));
    feed(xid());
  });

  it('is read again if it cannot be decompressed, or holds another one', () => {
    const bytes = event(eventType.transactionPayload, Buffer.of(2, 1, 0, 0, 1, 2, 3));
    expect(() => feed(bytes)).toThrow(expect.objectContaining({ kind: 'binlog-damaged' }));
    const within = inner(payload(inner(query('BEGIN'))));
    expect(() => feed(payload(within))).toThrow(expect.objectContaining({ kind: 'binlog-damaged' }));
  });
});

describe('an event', () => {
  it('is not limited by the rows that it has, but by the memory that they take', () => {
    const label = 'x'.repeat(250);
    const choice = { type: 'enum', fullType: `enum('${label}')`, charset: 'utf8mb4' };
    const choices = Array.from({ length: 10 }, (_, n) => ({ ...column(`c${n}`, 'enum'), ...choice }));
    const wide = tableCodec({
      table: 'beat',
      columns: [column('id', 'int'), ...choices],
      primaryKey: [0],
    }) as TableCodec;
    decoder = decoding(wide);
    const types = Buffer.concat([
      Buffer.of(11, 3, ...choices.map(() => 254), 20, ...choices.flatMap(() => [247, 1])),
      Buffer.of(0, 0),
    ]);
    const image = (id: number) => Buffer.concat([Buffer.of(0, 0), int(id), Buffer.alloc(10, 1)]);
    const images = Buffer.concat(Array.from({ length: 20_000 }, (_, id) => image(id)));
    feed(query('BEGIN'));
    feed(event(eventType.tableMap, Buffer.concat([tableNames, types])));
    feed(event(eventType.writeRows, Buffer.concat([Buffer.of(7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 11, 0xff, 7), images])));
    feed(xid());
    expect([...batch.suspended.values()]).toEqual([expect.stringContaining('more rows than the memory allows')]);
    expect(batch.size).toBeLessThan(35_000_000);
    expect(batch.open).toBe(false);
  });
});

describe('an event that MariaDB compressed', () => {
  const compressed = (plain: Buffer, stated = plain.length) => {
    const length = Buffer.alloc(6);
    length.writeUIntBE(stated, 0, 6);
    return Buffer.concat([Buffer.of(0x86), length, deflateSync(plain)]);
  };
  const begin = () => {
    feed(query('BEGIN'));
    feed(tableMap([3, 3]));
  };

  it('is read like one that is not', () => {
    begin();
    feed(rows(eventType.mariadbWriteRowsCompressed, [3], compressed(Buffer.concat([row(1, 10), row(2, 20)]))));
    feed(xid());
    expect(batch.changes(codec.schema).upsertLines().toString()).toBe('1\t10\n2\t20\n');
  });

  it('suspends its table if it states more than the memory allows', () => {
    begin();
    feed(rows(eventType.mariadbWriteRowsCompressed, [3], compressed(row(1, 10), 2 ** 40)));
    feed(xid());
    expect([...batch.suspended.keys()]).toEqual(['beat']);
    expect(batch.open).toBe(false);
  });

  it('is read again if it becomes another length than it states, or is no compressed data', () => {
    const isDamaged = (body: Buffer) =>
      expect(() => feed(rows(eventType.mariadbWriteRowsCompressed, [3], body))).toThrow(
        expect.objectContaining({ kind: 'binlog-damaged' }),
      );
    begin();
    isDamaged(compressed(Buffer.alloc(50_000_000), 9));
    isDamaged(compressed(row(1, 10), 10));
    isDamaged(Buffer.of(0x81, 9, 1, 2, 3));
  });
});

describe('what cannot be read exactly', () => {
  it.each([
    ['another number of columns', [3, 3, 3], [3]],
    ['another type', [3, 8], [3]],
    ['a row image that is not full', [3, 3], [1]],
  ])('suspends the table: %s', (_, types, present) => {
    feed(query('BEGIN'));
    feed(tableMap(types));
    feed(rows(eventType.writeRows, present, row(1, 1)));
    feed(xid());
    expect([...batch.suspended.keys()]).toEqual(['beat']);
    expect(batch.tables.size).toBe(0);
  });

  it.each([
    ['INCIDENT', () => event(eventType.incident, Buffer.alloc(4))],
    ['an event of unknown type', () => event(200, Buffer.alloc(4))],
  ])('is fatal: %s', (_, make) => {
    expect(() => feed(make())).toThrow(expect.objectContaining({ kind: 'binlog-unreadable' }));
  });

  it('is read again: a description of the file that has a flipped bit, and an event that states another length', () => {
    const isDamaged = (bytes: Buffer) =>
      expect(() => feed(bytes)).toThrow(expect.objectContaining({ kind: 'binlog-damaged' }));
    const description = () => event(eventType.formatDescription, Buffer.concat([Buffer.alloc(80), Buffer.of(1)]));
    feed(description());
    const flipped = description();
    flipped[60] = 1;
    isDamaged(flipped);
    const longer = xid();
    longer.writeUInt32LE(longer.length + 1, 9);
    longer.writeUInt32LE(crc32(longer.subarray(0, -4)), longer.length - 4);
    isDamaged(longer);
  });

  it('is read again: an event with a flipped bit, one that ends inside its last row or its header, and rows of a table that was not introduced', () => {
    const isDamaged = (bytes: Buffer) =>
      expect(() => feed(bytes)).toThrow(
        expect.objectContaining({ kind: 'binlog-damaged', position: expect.stringContaining('b.000001') }),
      );
    const bytes = xid();
    bytes[20] = (bytes[20] as number) ^ 1;
    isDamaged(bytes);
    isDamaged(xid().subarray(0, 15));
    feed(query('BEGIN'));
    isDamaged(rows(eventType.writeRows, [3], row(1, 1)));
    feed(tableMap([3, 3]));
    isDamaged(rows(eventType.writeRows, [3], row(1, 1).subarray(0, 6)));
  });

  it('is retried: the address leads to another server than the one whose positions are known', () => {
    const rotate = Buffer.concat([Buffer.of(4, 0, 0, 0, 0, 0, 0, 0), Buffer.from('b.000001')]);
    const artificial = 0x20;
    feed(event(eventType.rotate, rotate, artificial));
    const other = event(eventType.rotate, rotate, artificial);
    other.writeUInt32LE(2, 5);
    other.writeUInt32LE(crc32(other.subarray(0, -4)), other.length - 4);
    expect(() => feed(other)).toThrow(expect.objectContaining({ kind: 'source-unreachable' }));
  });

  it('is skipped if the writer marked it as ignorable', () => {
    const ignorable = 0x80;
    feed(event(200, Buffer.alloc(4), ignorable));
    expect(decoder.cursor.position.offset).toBe(position);
  });
});
