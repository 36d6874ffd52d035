import { GroupHistory } from '../../src/mysql/binlog/group-history.ts';
import type { Connection } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LineBuffer } from '../../src/change/line-buffer.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { BatchQueue } from '../../src/pipeline/stream/batch-queue.ts';
import { type TableCodec, tableCodec } from '../../src/mapping/table-codec.ts';
import { BinlogCursor } from '../../src/mysql/binlog/binlog-cursor.ts';
import { BinlogDecoder } from '../../src/mysql/binlog/binlog-decoder.ts';
import { BinlogStream } from '../../src/mysql/binlog/binlog-stream.ts';
import { mariadbGtids } from '../../src/mysql/binlog/gtid-progress.ts';
import { StreamTables } from '../../src/mysql/binlog/stream-tables.ts';
import { readCatalog } from '../../src/mysql/catalog/catalog.ts';
import { chunkQuery, lookupQuery } from '../../src/mysql/chunk/chunk-query.ts';
import { readChunk } from '../../src/mysql/chunk/chunk-reader.ts';
import { SourceConnection } from '../../src/mysql/connection.ts';
import { readHead } from '../../src/mysql/position/positions.ts';
import { readServerFlavor } from '../../src/mysql/server-flavor.ts';
import { eachLine, lineKey } from '../../src/postgres/rows/line-check.ts';
import { createReplica, type Replica } from '../../testing/replica.ts';
import { sharedServers } from '../support/shared-servers.ts';
import { Scope } from '../../src/lifetime/scope.ts';

/** Key types, with values that have more than one spelling. */
const keys: Readonly<Record<string, readonly string[]>> = {
  'int(6) unsigned zerofill': ['0', '42', '999999', '1234567'],
  'bigint(20) zerofill': ['0', '7', '18446744073709551615'],
  'decimal(10,3) zerofill': ['0', '0.5', '12.250', '9999999.999'],
  'decimal(20,6)': ['-0.000001', '0', '12.5', '-7'],
  double: [
    '0',
    '1',
    '-1.5',
    '1e20',
    '1e21',
    '1e15',
    '123456789012345678',
    '1e-7',
    '0.001',
    '-0.00001',
    '1.7976931348623157e308',
    '5e-324',
    '0.1',
  ],
  // The server stores -0.21 as -0.20999999999999996.
  'double(12,2)': ['0', '0.1', '-12345678.91', ...Array.from({ length: 99 }, (_, cents) => String(-(cents + 1) / 100))],
  'double(12,2) zerofill': ['0', '0.5', '1234.5'],
  'double(60,2)': ['1e21', '-1.5e30', '123456789012345678'],
  'double zerofill': ['0', '1.5', '1e300'],
  'float(7,2) zerofill': ['0', '0.5', '0.1'],
  'decimal(5,5) zerofill': ['0', '0.5'],
  float: ['0.1', '1e20', '3.4028235e38', '1e-10', '16777216'],
  year: ['0', '1901', '2026', '2155'],
  'bit(12)': ['0', '5', '4095'],
  'bit(1)': ['0', '1'],
  'varchar(20) character set latin1': [`'a'`, `'Zähne'`, `'tab\\there'`, `'back\\\\slash'`, `'new\\nline'`, `''`],
  'varbinary(20)': [`x'00ff'`, `''`, `x'5c'`],
  'binary(4)': [`x'01'`, `x'ff00ff00'`],
  date: [`'0001-01-01'`, `'2026-11-23'`],
  'datetime(3)': [`'2026-11-23 10:00:00.5'`, `'2026-11-23 10:00:00'`],
  'timestamp(6)': [`'2026-11-23 10:00:00.000001'`, `'2026-11-23 10:00:00'`],
  'time(2)': [`'-838:59:59'`, `'00:00:00.5'`, `'-00:00:00.01'`, `'100:00:00'`],
  uuid: [`'123E4567-e89b-12d3-a456-426655440000'`],
  inet4: [`'10.0.0.1'`, `'0.0.0.0'`],
  inet6: [`'::1'`, `'::'`, `'2001:db8::ff00:42:8329'`, `'::ffff:10.1.2.3'`, `'fe80::1:0:0:1'`, `'1:2:3:4:5:6:7:8'`],
  [`set('b','a','it''s','c d')`]: [`''`, `'a'`, `'a,b'`, `'c d,it''s'`],
  [`enum('b','a','it''s')`]: [`'a'`, `'it''s'`],
};
const tableOf = (index: number) => `key_${index}`;

describe('a key', () => {
  let replica: Replica;
  let admin: Connection;

  beforeAll(async () => {
    const { source, target } = sharedServers();
    replica = await createReplica(source, target);
    admin = await replica.sourceAdmin();
    await admin.query(`set sql_mode = '', time_zone = '+00:00'`);
    for (const [index, type] of Object.keys(keys).entries())
      await admin.query(`create table ${tableOf(index)} (k ${type} not null primary key) engine=InnoDB`);
  });
  afterAll(async () => {
    admin?.destroy();
    await replica?.drop();
  });

  test('of any type has one spelling in the snapshot, the stream and the questions to the source', async () => {
    const config = loadConfig(replica.env);
    const replicator = await SourceConnection.open(new Scope(), config.source, 'replicator');
    const reader = await SourceConnection.open(new Scope(), config.source, 'reader');
    const codecs = new Map<string, TableCodec>();
    for (const { schema } of (await readCatalog(reader, config.source.database)).tables) {
      const codec = tableCodec(schema);
      if ('refused' in codec) throw new Error(`${schema.table}: ${codec.refused[0]?.reason}`);
      codecs.set(schema.table, codec);
    }
    const { serverId } = await readServerFlavor(replicator);
    const start = await readHead(replicator);
    for (const [index, values] of Object.values(keys).entries())
      await admin.query(`insert into ${tableOf(index)} values ${values.map((value) => `(${value})`).join(', ')}`);
    const end = await readHead(replicator);

    const streamed = new Map<string, string[]>();
    const cursor = new BinlogCursor(start, mariadbGtids(null));
    const tables = new StreamTables(
      config.source.database,
      false,
      [...codecs.values()].map((codec) => ({ codec, from: start })),
    );
    const stream = new BinlogStream(
      new Scope(),
      config.source,
      start,
      false,
      (checksums) => new BinlogDecoder(cursor, tables, queue, history, serverId, checksums),
    );
    const history = new GroupHistory(start, []);
    const queue = new BatchQueue(stream, cursor.gtids, history, start);
    stream.failed.catch((error: Error) => queue.fail(error));
    for (;;) {
      const batch = await queue.take();
      expect([...(batch?.suspended ?? [])]).toEqual([]);
      for (const [table, changes] of batch?.tables ?? [])
        streamed.set(table, [...(streamed.get(table) ?? []), ...changes.keys]);
      if (batch?.end?.position.file === end.file && batch.end.position.offset >= end.offset) break;
    }
    stream.close();

    for (const [index, type] of Object.keys(keys).entries()) {
      const codec = codecs.get(tableOf(index)) as TableCodec;
      const read = async (query: string) => {
        const lines = new LineBuffer();
        const chunk = await readChunk(reader, query, codec, lines, { bytes: 1_000_000, ms: 60_000 });
        return {
          ...chunk,
          keys: [...eachLine(lines.bytes.subarray(0, lines.length))].map((line) => lineKey(line, schema)),
        };
      };
      const { schema } = codec;
      const { database } = config.source;
      const all = await read(chunkQuery(database, codec, null, 200));
      expect(new Set(all.keys), type).toEqual(new Set(streamed.get(tableOf(index))));
      expect(all.keys.length, type).toBe((keys[type] ?? []).length);

      // A chunk begins behind the last row of the chunk before, and a row is found by its key at the target.
      let { lastKey, lastKeyText, keys: seen } = await read(chunkQuery(database, codec, null, 1));
      for (let chunked = seen; chunked.length > 0;) {
        const literals = codec.codecs[0]?.literalsOf?.(lastKeyText?.[0] ?? '') ?? [];
        const found = await read(
          lookupQuery(
            database,
            codec,
            literals.map((literal) => [literal]),
            null,
          ),
        );
        expect(found.keys, `${type}: a lookup of ${lastKeyText?.join()}`).toEqual(chunked);
        ({ lastKey, lastKeyText, keys: chunked } = await read(chunkQuery(database, codec, lastKey, 1)));
        seen = [...seen, ...chunked];
      }
      expect(seen, type).toEqual(all.keys);
    }
    await Promise.all([reader.close(), replicator.close()]);
  });
});
