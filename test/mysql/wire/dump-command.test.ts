import ZongJi from '@vlasky/zongji';
import mysql from 'mysql2';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventType, headerLength, readEventHeader } from '../../../src/mysql/binlog/event-header.ts';
import { type Packet, tapDump, useConnection } from '../../../src/mysql/wire/dump-command.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { sharedServers } from '../../support/shared-servers.ts';

const endOfDump = 0xfe;
/** First bytes of a command. */
const dumpCommand = '\x12';
const query = '\x03';
let replica: Replica;

beforeAll(async () => {
  const { source, target } = sharedServers();
  replica = await createReplica(source, target);
});

afterAll(async () => {
  await replica?.drop();
});

/** Dumps the end of the binlog until there is no more. Returns the commands that we sent and the events that zongji decoded. */
async function dump(take: (packet: Packet) => boolean): Promise<{ sent: string[]; decoded: string[] }> {
  const connection = mysql.createConnection(replica.sourceAdminOptions);
  // A server hangs up after a dump.
  connection.on('error', () => undefined);
  const sent: string[] = [];
  const decoded: string[] = [];
  const wire = connection as unknown as { writePacket(packet: { readonly buffer: Buffer }): void };
  const writePacket = wire.writePacket.bind(connection);
  wire.writePacket = (packet) => {
    writePacket(packet);
    sent.push(packet.buffer.toString('latin1', 4));
  };
  // Of a connection of its own, which it would open with this, zongji would report that there is no such server.
  const zongji = new ZongJi({ port: 1 });
  useConnection(zongji, connection);
  zongji.on('binlog', (event) => decoded.push(event.getTypeName()));
  try {
    await new Promise<void>((resolve, reject) => {
      zongji.on('error', reject);
      zongji.on('ready', () => {
        connection.query(`select 'in ready'`, () => undefined);
        tapDump(zongji, take);
        queueMicrotask(() => connection.query(`select 'behind'`, () => resolve()));
      });
      zongji.start({ serverId: Number(replica.env['SOURCE_SERVER_ID']), startAtEnd: true, nonBlock: true });
    });
  } finally {
    connection.destroy();
  }
  return { sent, decoded };
}

test('a packet of the dump reaches the tap, and not the decoder of zongji: one event behind a status byte', async () => {
  const statuses: unknown[] = [];
  const types: number[] = [];
  const { decoded } = await dump(({ buffer, offset, end }) => {
    statuses.push(buffer[offset]);
    if (buffer[offset] !== 0) return false;
    expect(end - offset).toBeGreaterThan(headerLength);
    const { type, length } = readEventHeader(buffer.subarray(offset + 1, end));
    expect(length).toBe(end - offset - 1);
    types.push(type);
    return true;
  });
  expect(types.slice(0, 2)).toEqual([eventType.rotate, eventType.formatDescription]);
  expect(statuses).toEqual([...types.map(() => 0), endOfDump]);
  expect(decoded).toEqual([]);
});

test('what the tap leaves is decoded by zongji, and the next packet reaches the tap again', async () => {
  let count = 0;
  const { decoded } = await dump(({ buffer, offset }) => count++ > 0 && buffer[offset] === 0);
  expect(decoded).toEqual(['Rotate']);
  expect(count).toBeGreaterThan(2);
});

test('one connection is enough: what is asked in `ready` goes before the dump command, what is queued later after its end', async () => {
  const { sent } = await dump(({ buffer, offset }) => buffer[offset] === 0);
  const [lookedUp = -1, inReady = -1, dumped = -1, behind = -1] = [
    `${query}SHOW BINARY LOGS`,
    `${query}select 'in ready'`,
    dumpCommand,
    `${query}select 'behind'`,
    // The login has random bytes.
  ].map((text) => sent.findIndex((command) => command.startsWith(text)));
  expect(lookedUp).toBeGreaterThan(-1);
  expect(inReady).toBeGreaterThan(lookedUp);
  expect(dumped).toBe(inReady + 1);
  expect(behind).toBe(dumped + 1);
});
