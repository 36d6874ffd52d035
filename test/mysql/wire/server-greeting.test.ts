import { once } from 'node:events';
import { type AddressInfo, type Socket, createServer } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import mysql, { type RowDataPacket } from 'mysql2/promise';
import { expect, test } from 'vitest';
import { type Greeting, readGreeting } from '../../../src/mysql/wire/server-greeting.ts';
import { sharedServers } from '../../support/shared-servers.ts';

test('the greeting tells what version() tells after the login', async () => {
  const { host, port, user, password, flavor } = sharedServers().source;
  const admin = await mysql.createConnection({ host, port, user, password });
  const [[row]] = await admin.query<RowDataPacket[]>('select version() as version');
  await admin.end();
  expect(await readGreeting(host, port)).toMatchObject({ flavor, version: row?.['version'] as string });
});

/** Reads what `greet` says, and returns with it from where it was asked. */
async function greeted(greet: (client: Socket) => unknown): Promise<[Greeting, string | undefined]> {
  let from: string | undefined;
  const server = createServer((client) => {
    from = client.remoteAddress;
    client.on('error', () => undefined);
    greet(client);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  try {
    return [await readGreeting('127.0.0.1', (server.address() as AddressInfo).port), from];
  } finally {
    server.close();
  }
}

function packet(payload: string): Buffer {
  return Buffer.concat([Buffer.of(payload.length, 0, 0, 0), Buffer.from(payload, 'latin1')]);
}

test('a greeting may come byte by byte, and is asked for from the address that the server sees', async () => {
  const [greeting, from] = await greeted(async (client) => {
    for (const byte of packet('\n8.4.3\0and so on')) {
      client.write(Buffer.of(byte));
      for (let turns = 0; turns < 3; turns++) await turn();
    }
  });
  expect(greeting).toEqual({ flavor: 'mysql', version: '8.4.3', localAddress: from });
});

test.each([
  ['turns everybody away', (client: Socket) => client.write(packet('\xff\x10\x04Too many connections'))],
  ['speaks another version of the protocol', (client: Socket) => client.write(packet('\x098.4.3\0'))],
  ['does not end its version', (client: Socket) => client.write(packet('\n8.4.3'))],
  ['hangs up without a word', (client: Socket) => client.destroy()],
])('a server that %s is as good as none', async (_, greet) => {
  await expect(greeted(greet)).rejects.toMatchObject({ kind: 'source-unreachable' });
});
