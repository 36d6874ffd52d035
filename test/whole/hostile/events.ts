import { crc32, deflateSync, zstdCompressSync } from 'node:zlib';
import { ChangeBatch } from '../../../src/change/change-batch.ts';
import type { ColumnSchema } from '../../../src/definition/table-schema.ts';
import { type TableCodec, knownCodec } from '../../../src/mapping/table-codec.ts';
import { BinlogCursor } from '../../../src/mysql/binlog/binlog-cursor.ts';
import { BinlogDecoder } from '../../../src/mysql/binlog/binlog-decoder.ts';
import { eventType } from '../../../src/mysql/binlog/event-header.ts';
import { GroupHistory } from '../../../src/mysql/binlog/group-history.ts';
import { mariadbGtids, mysqlGtids } from '../../../src/mysql/binlog/gtid-progress.ts';
import { StreamTables } from '../../../src/mysql/binlog/stream-tables.ts';
import type { SeededRandom } from '../../../testing/random/seeded-random.ts';
import { damaged, lengthEncoded } from './bytes.ts';
import { hostileDocument } from './documents.ts';

const start = { file: 'b.000001', offset: 4, gtid: null };
const database = 'clinic';
const names = Buffer.from('\x07\0\0\0\0\0\0\0\x06clinic\0\x04beat\0', 'latin1');

/** A column, the type and metadata that a TABLE_MAP has for it, and a value in a row image. */
interface Column {
  readonly schema: Partial<ColumnSchema> & { readonly type: string };
  readonly code: number;
  readonly metadata: readonly number[];
  readonly value: (random: SeededRandom) => Buffer;
}

const int32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
};
const prefixed = (width: number, bytes: Buffer) => {
  const length = Buffer.alloc(width);
  length.writeUIntLE(bytes.length, 0, width);
  return Buffer.concat([length, bytes]);
};
/** A value of a column that MariaDB compresses. */
const stored = (plain: Buffer, size = plain.length) => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(size);
  return Buffer.concat([Buffer.of(0x84), length, deflateSync(plain)]);
};
const text = { charset: 'utf8mb4' };

const key: Column = {
  schema: { type: 'int' },
  code: 3,
  metadata: [],
  value: (random) => int32(random.int(1, 1_000_000)),
};
const others: readonly Column[] = [
  { schema: { type: 'tinyint' }, code: 1, metadata: [], value: (random) => random.bytes(1) },
  { schema: { type: 'bigint' }, code: 8, metadata: [], value: (random) => random.bytes(8) },
  { schema: { type: 'double' }, code: 5, metadata: [8], value: (random) => random.bytes(8) },
  {
    schema: { type: 'decimal', precision: 20, scale: 4 },
    code: 246,
    metadata: [20, 4],
    value: () => Buffer.alloc(10, 0x80),
  },
  { schema: { type: 'date' }, code: 10, metadata: [], value: (random) => random.bytes(3) },
  { schema: { type: 'datetime', fraction: 6 }, code: 18, metadata: [6], value: (random) => random.bytes(8) },
  { schema: { type: 'time', fraction: 0 }, code: 19, metadata: [0], value: () => Buffer.of(0x80, 0x10, 0x20) },
  { schema: { type: 'timestamp', fraction: 3 }, code: 17, metadata: [3], value: (random) => random.bytes(6) },
  { schema: { type: 'bit', precision: 12 }, code: 16, metadata: [4, 1], value: () => Buffer.of(0x0f, 0xff) },
  {
    schema: { type: 'varchar', length: 200, ...text },
    code: 15,
    metadata: [0x20, 0x03],
    value: (random) => prefixed(2, random.bytes(random.int(0, 60))),
  },
  {
    schema: { type: 'varchar', length: 200, charset: 'gb18030' },
    code: 15,
    metadata: [0x20, 0x03],
    value: (random) => prefixed(2, random.bytes(random.int(0, 60))),
  },
  {
    schema: { type: 'varchar', length: 200, charset: 'utf16' },
    code: 15,
    metadata: [0x20, 0x03],
    value: (random) => prefixed(2, random.bytes(random.int(0, 60))),
  },
  {
    schema: { type: 'longtext', ...text },
    code: 252,
    metadata: [4],
    value: (random) => prefixed(4, random.bytes(random.int(0, 90))),
  },
  {
    schema: { type: 'longblob' },
    code: 252,
    metadata: [4],
    value: (random) => prefixed(4, random.bytes(random.int(0, 90))),
  },
  {
    schema: { type: 'enum', fullType: `enum('a','bb')`, ...text },
    code: 254,
    metadata: [247, 1],
    value: () => Buffer.of(2),
  },
  {
    schema: { type: 'set', fullType: `set('a','bb','c')`, ...text },
    code: 254,
    metadata: [248, 1],
    value: () => Buffer.of(5),
  },
  { schema: { type: 'json' }, code: 245, metadata: [4], value: (random) => prefixed(4, hostileDocument(random)) },
  {
    schema: { type: 'mediumtext', ...text },
    code: 140,
    metadata: [3],
    value: (random) => prefixed(3, stored(Buffer.alloc(random.int(0, 300), 'x'))),
  },
  {
    schema: { type: 'inet6' },
    code: 254,
    metadata: [254, 16],
    value: (random) => prefixed(1, random.bytes(random.int(0, 16))),
  },
];
const columns = [key, ...others];

const codec: TableCodec = knownCodec({
  table: 'beat',
  columns: columns.map(({ schema }, index) => ({
    ...{ nullable: index > 0, charset: null, length: null, precision: null, scale: null, fraction: 0 },
    ...{ name: `c${index}`, fullType: schema.type, ...schema },
  })),
  primaryKey: [0],
});

/** A decoder as a stream begins with it, and the events as a server with checksums sends them. */
class Dump {
  readonly batch = new ChangeBatch();
  readonly decoder: BinlogDecoder;
  #position = start.offset;

  constructor(isMysql: boolean) {
    const filler = {
      batch: this.batch,
      boundary: () => undefined,
      grown: () => undefined,
      cutOff: () => undefined,
    };
    this.decoder = new BinlogDecoder(
      new BinlogCursor(start, isMysql ? mysqlGtids('') : mariadbGtids('')),
      new StreamTables(database, false, [{ codec, from: start }]),
      filler,
      new GroupHistory(start, []),
      1,
      true,
    );
  }

  feed(type: number, body: Buffer): void {
    this.send(this.#event(type, body));
  }

  send(bytes: Buffer): void {
    this.decoder.event(bytes, 0, bytes.length);
  }

  #event(type: number, body: Buffer): Buffer {
    const bytes = bare(type, body, 4);
    this.#position += bytes.length;
    bytes.writeUInt32LE(this.#position, 13);
    return sealed(bytes);
  }
}

/** An event with room for a checksum of so many bytes. */
function bare(type: number, body: Buffer, checksum: number): Buffer {
  const bytes = Buffer.alloc(19 + body.length + checksum);
  bytes.writeUInt32LE(1_700_000_000, 0);
  bytes[4] = type;
  bytes.writeUInt32LE(1, 5);
  bytes.writeUInt32LE(bytes.length, 9);
  body.copy(bytes, 19);
  return bytes;
}

/** Makes the checksum right again, as a hostile source would. */
function sealed(bytes: Buffer): Buffer {
  if (bytes.length >= 4) bytes.writeUInt32LE(crc32(bytes.subarray(0, -4)), bytes.length - 4);
  return bytes;
}

const bitmap = Buffer.alloc((columns.length + 7) >> 3, 0xff);
const nulls = Buffer.alloc((columns.length + 7) >> 3);
const image = (random: SeededRandom) => Buffer.concat([nulls, ...columns.map(({ value }) => value(random))]);
const rowsBody = (isUpdate: boolean, isV2: boolean, images: Buffer) =>
  Buffer.concat([
    Buffer.of(7, 0, 0, 0, 0, 0, 0, 0, ...(isV2 ? [2, 0] : []), columns.length),
    ...(isUpdate ? [bitmap, bitmap] : [bitmap]),
    images,
  ]);
const queryBody = (sql: Buffer) =>
  Buffer.concat([Buffer.alloc(8), Buffer.of(6, 0, 0, 0, 0), Buffer.from(`${database}\0`), sql]);
const metadata = Buffer.from(columns.flatMap(({ metadata }) => metadata));
const tableMapBody = Buffer.concat([
  names,
  Buffer.of(columns.length, ...columns.map(({ code }) => code)),
  lengthEncoded(metadata.length),
  metadata,
  bitmap,
]);
/** Data as MariaDB compresses it in an event. */
const compressed = (plain: Buffer, size = plain.length) => {
  const length = Buffer.alloc(6);
  length.writeUIntBE(size, 0, 6);
  return Buffer.concat([Buffer.of(0x86), length, deflateSync(plain)]);
};
const payloadBody = (content: Buffer, size: number) =>
  Buffer.concat([
    Buffer.of(2, 1, 0, 3, 9, 0xfe),
    lengthEncoded(2 ** 40 + size).subarray(1, 5),
    Buffer.alloc(4),
    Buffer.of(0),
    content,
  ]);

const gtidMariadb = Buffer.from('0100000000000000000000000000000000000000', 'hex');
const gtidMysql = Buffer.concat([
  Buffer.of(1),
  Buffer.alloc(16, 0xab),
  Buffer.of(5, 0, 0, 0, 0, 0, 0, 0),
  Buffer.alloc(17),
]);
const gtidTagged = Buffer.from(
  '027000000002c2ca6822a103e022c50389020a04f103000000020404060c636c696e696308080a0c0c7f8682bad40f61061029041283120b',
  'hex',
);
const description = Buffer.concat([
  Buffer.of(4, 0),
  Buffer.alloc(50, 'x'),
  Buffer.alloc(4),
  Buffer.of(19),
  Buffer.alloc(40, 8),
  Buffer.of(1),
]);
const rotation = Buffer.concat([Buffer.of(4, 0, 0, 0, 0, 0, 0, 0), Buffer.from('b.000002')]);
const statements = [
  'BEGIN',
  'COMMIT',
  'drop table `beat`, other.t',
  'alter table beat add column x int, rename to y',
  'rename table a to b, c to d',
  'truncate beat',
  "insert into beat values (1, 'x')",
  'create table m (a int) engine=merge union=(beat, x)',
];

type Body = (random: SeededRandom) => Buffer;
const wholeRows =
  (isUpdate: boolean, isV2: boolean, isCompressed: boolean): Body =>
  (random) => {
    const images = Buffer.concat(
      Array.from({ length: random.pick([1, 2, 6]) * (isUpdate ? 2 : 1) }, () => image(random)),
    );
    return rowsBody(isUpdate, isV2, isCompressed ? compressed(images) : images);
  };

/** A whole body for each type of event. */
const bodies: readonly (readonly [type: number, body: Body])[] = [
  [eventType.writeRows, wholeRows(false, true, false)],
  [eventType.updateRows, wholeRows(true, true, false)],
  [eventType.deleteRows, wholeRows(false, true, false)],
  [eventType.writeRowsV1, wholeRows(false, false, false)],
  [eventType.updateRowsV1, wholeRows(true, false, false)],
  [eventType.deleteRowsV1, wholeRows(false, false, false)],
  [eventType.partialUpdateRows, wholeRows(true, true, false)],
  [eventType.mariadbWriteRowsCompressed, wholeRows(false, true, true)],
  [eventType.mariadbUpdateRowsCompressed, wholeRows(true, true, true)],
  [eventType.mariadbDeleteRowsCompressedV1, wholeRows(false, false, true)],
  [eventType.tableMap, () => tableMapBody],
  [eventType.query, (random) => queryBody(Buffer.from(random.pick(statements)))],
  [eventType.mariadbQueryCompressed, (random) => queryBody(compressed(Buffer.from(random.pick(statements))))],
  [
    eventType.executeLoadQuery,
    (random) => Buffer.concat([queryBody(Buffer.alloc(13)), Buffer.from(random.pick(statements))]),
  ],
  [eventType.mariadbGtid, () => gtidMariadb],
  [eventType.gtid, () => gtidMysql],
  [eventType.gtidTagged, () => gtidTagged],
  [eventType.formatDescription, () => description],
  [eventType.rotate, () => rotation],
  [eventType.heartbeat, () => Buffer.from('b.000001')],
  [eventType.transactionPayload, (random) => transaction(random)],
  ...Object.values(eventType).map((type) => [type, (random: SeededRandom) => random.bytes(random.int(0, 60))] as const),
];

/** A compressed transaction of MySQL. One of its events may be damaged. */
function transaction(random: SeededRandom): Buffer {
  const events = [
    bare(eventType.query, queryBody(Buffer.from('BEGIN')), 0),
    bare(eventType.tableMap, tableMapBody, 0),
    bare(eventType.writeRows, wholeRows(false, true, false)(random), 0),
    bare(eventType.xid, Buffer.alloc(8), 0),
  ];
  const content = Buffer.concat(
    random.chance(0.5) ? events : events.map((event) => (random.chance(0.3) ? damaged(event, random) : event)),
  );
  return payloadBody(zstdCompressSync(content), content.length);
}

/** Feeds a damaged event to a decoder, between whole ones. */
export function damagedEvent(random: SeededRandom): void {
  const dump = new Dump(random.chance(0.5));
  const [type, body] = random.pick(bodies);
  if (random.chance(0.8)) dump.feed(eventType.query, queryBody(Buffer.from('BEGIN')));
  if (random.chance(0.9)) dump.feed(eventType.tableMap, tableMapBody);
  const bytes = sealed(bare(type, body(random), 4));
  switch (random.int(0, 9)) {
    case 0:
      // On the way, so the checksum tells.
      dump.send(damaged(bytes, random));
      break;
    case 1:
      dump.send(sealed(damaged(bytes, random)));
      break;
    case 2: {
      // As a body of another type.
      const other = random.int(0, 255);
      dump.feed(other, body(random));
      break;
    }
    default:
      dump.feed(type, damaged(bytes.subarray(19, -4), random));
  }
  dump.feed(eventType.xid, Buffer.alloc(8));
}

type Event = readonly [type: number, body: Buffer];

/** Small events that would fill the memory, or keep the processor busy. */
const bombs: readonly ((random: SeededRandom) => readonly Event[])[] = [
  // Rows that become more than they state, and rows of which there are millions.
  (random) => {
    const rows = compressed(Buffer.alloc(mebibytes(random)), random.pick([1, 2 ** 20, 2 ** 47]));
    return [[eventType.mariadbWriteRowsCompressed, rowsBody(false, true, rows)]];
  },
  (random) => {
    const rows = compressed(Buffer.alloc(mebibytes(random), random.int(0, 255)));
    return [[eventType.mariadbUpdateRowsCompressed, rowsBody(true, true, rows)]];
  },
  // Statements of millions of tokens, and of ten thousands of names.
  (random) => {
    const sql = Buffer.alloc(
      mebibytes(random) / random.pick([1, 3, 9]),
      random.pick(['(', 'a ', "'", ',a', '`', 'x,']),
    );
    return [[eventType.mariadbQueryCompressed, queryBody(compressed(sql))]];
  },
  (random) => {
    const words = ['rename table a to b, ', 'drop table x,', 'alter table beat add x int,', 'create table m union=(a,'];
    const names = Array.from({ length: 30_000 }, (_, n) => `t${n}`).join(random.pick([',', ' to ', '.']));
    return [[eventType.query, queryBody(Buffer.from(random.pick(words) + names))]];
  },
  // Compressed transactions: of nothing, and of very many very small rows.
  (random) => {
    const content = Buffer.alloc(mebibytes(random) * 4, random.int(0, 255));
    const size = random.pick([content.length, 9, 2 ** 31]);
    return [[eventType.transactionPayload, payloadBody(zstdCompressSync(content), size)]];
  },
  (random) => {
    const small = () => Buffer.concat([nulls.map((_, i) => (i === 0 ? 0xfe : 0xff)), int32(random.int(0, 2 ** 30))]);
    const images = Buffer.concat(Array.from({ length: 2_000 }, small));
    const event = bare(eventType.writeRows, rowsBody(false, true, images), 0);
    const content = Buffer.concat([
      bare(eventType.query, queryBody(Buffer.from('BEGIN')), 0),
      bare(eventType.tableMap, tableMapBody, 0),
      ...Array.from({ length: 100 }, () => event),
    ]);
    return [[eventType.transactionPayload, payloadBody(zstdCompressSync(content), content.length)]];
  },
  // A value that becomes more than it states, or that states the most.
  (random) => {
    const value = stored(Buffer.alloc(mebibytes(random)), random.pick([1, 2 ** 20, 2 ** 22, 2 ** 32 - 1]));
    const values = columns.map((column) => (column.code === 140 ? prefixed(3, value) : column.value(random)));
    return [[eventType.writeRows, rowsBody(false, true, Buffer.concat([nulls, ...values]))]];
  },
  // A table of as many columns as its bytes can state, and very many tables.
  (random) => [
    [eventType.tableMap, Buffer.concat([names, Buffer.of(0xfe), random.bytes(8), Buffer.alloc(60_000, 252)])],
  ],
  () =>
    Array.from({ length: 200 }, (_, id) => [
      eventType.tableMap,
      Buffer.concat([
        Buffer.of(id, 0, 0, 0, 0, 0, 0, 0, 6),
        Buffer.from('clinic\0\x01'),
        Buffer.of(id, 0, 1, 3, 0),
        Buffer.alloc(100_000),
      ]),
    ]),
];

function mebibytes(random: SeededRandom): number {
  return random.pick([1, 4, 16]) * 1024 * 1024;
}

export const bombCount = bombs.length;

/** Makes a bomb, which is none of its harm, and returns what feeds it to a decoder. */
export function eventBomb(random: SeededRandom, index: number): () => void {
  const dump = new Dump(random.chance(0.5));
  const events = bombs[index]?.(random) ?? [];
  return () => {
    dump.feed(eventType.query, queryBody(Buffer.from('BEGIN')));
    dump.feed(eventType.tableMap, tableMapBody);
    for (const [type, body] of events) dump.feed(type, body);
  };
}

/** How many rows of whole events are read, and tables suspended: damage only matters behind a door that whole events pass. */
export function wholeEvents(random: SeededRandom): { rows: number; suspended: readonly string[] } {
  const dump = new Dump(false);
  dump.feed(eventType.query, queryBody(Buffer.from('BEGIN')));
  dump.feed(eventType.tableMap, tableMapBody);
  for (const isCompressed of [false, true])
    dump.feed(
      isCompressed ? eventType.mariadbWriteRowsCompressed : eventType.writeRows,
      wholeRows(false, true, isCompressed)(random),
    );
  dump.feed(eventType.xid, Buffer.alloc(8));
  return { rows: dump.batch.rows, suspended: [...dump.batch.suspended.values()] };
}
