import mysql, { type Connection } from 'mysql2';
import { afterAll, beforeAll, beforeEach, afterEach, expect, test } from 'vitest';
import { LineBuffer } from '../../../src/change/line-buffer.ts';
import { knownCodec } from '../../../src/mapping/table-codec.ts';
import { RowPackets, sendRowPackets } from '../../../src/mysql/wire/row-packets.ts';
import { socketOf } from '../../../src/mysql/wire/socket.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { sharedServers } from '../../support/shared-servers.ts';

const column = { nullable: true, charset: 'utf8mb4', length: null, precision: null, scale: null, fraction: 0 };
const codec = knownCodec({
  table: 'patient',
  columns: [
    // First, so that a row may begin with the byte that also begins the end of all rows.
    { ...column, name: 'note', type: 'longtext', fullType: 'longtext' },
    { ...column, name: 'id', type: 'bigint', fullType: 'bigint' },
  ],
  primaryKey: [1],
});
let replica: Replica;
let connection: Connection;

beforeAll(async () => {
  const { source, target } = sharedServers();
  replica = await createReplica(source, target);
});

afterAll(async () => {
  await replica?.drop();
});

beforeEach(() => {
  connection = mysql.createConnection({ ...replica.sourceAdminOptions, flags: ['-CLIENT_QUERY_ATTRIBUTES'] });
  connection.on('error', () => undefined);
});

afterEach(() => {
  connection.destroy();
});

async function read(query: string): Promise<{ error: unknown; command: RowPackets; lines: () => string }> {
  return await new Promise((resolve) => {
    const out = new LineBuffer();
    const lines = () => out.bytes.toString('utf8', 0, out.length);
    const done = (error: unknown) => resolve({ error, command, lines });
    const command: RowPackets = new RowPackets(query, codec, out, { bytes: Infinity, ms: Infinity }, null, done);
    sendRowPackets(connection, command);
  });
}

async function ask(sql: string): Promise<unknown> {
  return await new Promise((resolve, reject) => {
    connection.query(sql, (error, rows) => (error ? reject(error) : resolve(rows)));
  });
}

test('a command waits for its turn, gets every packet of its own answer and none of another', async () => {
  const outOfOrder: unknown[] = [];
  connection.on('warn', (warning) => outOfOrder.push(warning));
  const [before, first, between, second, after] = await Promise.all([
    ask('select 1 as n'),
    read(`select 'one', 1 union all select null, 2`),
    ask('select 2 as n'),
    read(`select 'three', 3`),
    ask('select 3 as n'),
  ]);
  expect([before, between, after]).toEqual([[{ n: 1 }], [{ n: 2 }], [{ n: 3 }]]);
  // Now nothing is before them that would have begun to count packets anew.
  const [third, fourth] = [await read(`select 'four', 4`), await read(`select '', 5 from dual where false`)];
  const reads = [first, second, third, fourth];
  expect(reads.map(({ error }) => error)).toEqual([null, null, null, null]);
  expect(reads.map(({ lines }) => lines())).toEqual(['one\t1\n\\N\t2\n', 'three\t3\n', 'four\t4\n', '']);
  // The bytes of a packet stay what they are after it.
  expect(reads.map(({ command }) => command.lastKeyText())).toEqual([['2'], ['3'], ['4'], null]);
  expect(outOfOrder).toEqual([]);
});

test('a row is one packet of mysql2 whatever its length, also where the server sends it in several', async () => {
  const lengths = [0, 250, 251, 65_535, 65_536, 16_777_215, 40_000_000];
  const { error, command, lines } = await read(
    lengths.map((length, index) => `select repeat('x', ${length}) as note, ${index}`).join(' union all '),
  );
  expect(error).toBeNull();
  expect(command.rejected).toEqual([]);
  const rows = lines().trimEnd().split('\n');
  expect(rows.map((row) => row.length - '\t0'.length)).toEqual(lengths);
  expect(rows.every((row, index) => /^x*\t\d$/.test(row) && row.endsWith(`${index}`))).toBe(true);
});

test('an error of the server ends the command and nothing else', async () => {
  const { error } = await read('select note, id from absent');
  expect(error).toMatchObject({ errno: 1146 });
  expect((await read(`select 'one', 1`)).lines()).toBe('one\t1\n');
});

test('a connection that breaks tells it to the command at work and to those that wait', async () => {
  await ask('select 1');
  const reads = [read(`select '', sleep(600)`), read(`select '', 2`)];
  socketOf(connection).destroy();
  for (const { error } of await Promise.all(reads)) expect(error).toMatchObject({ code: 'PROTOCOL_CONNECTION_LOST' });
});
