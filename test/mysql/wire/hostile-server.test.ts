import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { LineBuffer } from '../../../src/change/line-buffer.ts';
import type { SourceConfig } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load-config.ts';
import { tableCodec } from '../../../src/mapping/table-codec.ts';
import { readChunk } from '../../../src/mysql/chunk/chunk-reader.ts';
import { SourceConnection } from '../../../src/mysql/connection.ts';

import { sharedServers } from '../../support/shared-servers.ts';
import { Scope } from '../../../src/lifetime/scope.ts';

const secret = `secret-${randomBytes(8).toString('hex')}`;
const file = join(tmpdir(), `tidegate-${secret}`);
let replica: Replica;
let config: SourceConfig;

beforeAll(async () => {
  await writeFile(file, secret);
  const { source, target } = sharedServers();
  replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  await admin.query('create table patient (PatNum int not null primary key)');
  await admin.end();
  config = loadConfig({ ...replica.env }).source;
});

afterAll(async () => {
  await replica?.drop();
  await rm(file, { force: true });
});

/** One packet of the protocol: length, number, payload. */
function packet(number: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(4);
  header.writeUIntLE(payload.length, 0, 3);
  header[3] = number;
  return Buffer.concat([header, payload]);
}

/** What the client sent, from the packet on that somebody answered in place of the server. */
interface Between {
  readonly config: SourceConfig;
  readonly sent: () => Buffer;
  readonly close: () => void;
}

/**
 * Stands between the client and the real server, and answers in its place once the client sends what `replaces` recognizes; from
 * then on nothing reaches the server any more.
 */
async function between(replaces: (data: Buffer) => boolean, answer: (data: Buffer) => Buffer): Promise<Between> {
  const received: Buffer[] = [];
  const sockets: Socket[] = [];
  const server = createServer((client) => {
    const upstream = connect(config.port, config.host);
    let isOurs = false;
    sockets.push(client, upstream);
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
    upstream.on('data', (data) => !isOurs && client.write(data));
    client.on('data', (data) => {
      if (isOurs) received.push(data);
      else if (replaces(data)) {
        isOurs = true;
        client.write(answer(data));
      } else upstream.write(data);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    config: { ...config, host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    sent: () => Buffer.concat(received),
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

const asksForFile = () => packet(1, Buffer.concat([Buffer.of(0xfb), Buffer.from(file)]));
const isQuery = (text: string) => (data: Buffer) => data[4] === 0x03 && data.includes(text);

test('a server that asks for a file in answer to a statement is sent none', async () => {
  const patient = tableCodec({
    table: 'patient',
    columns: [
      {
        ...{ name: 'PatNum', type: 'int', fullType: 'int', nullable: false, charset: null, length: null },
        ...{ precision: 10, scale: 0, fraction: 0 },
      },
    ],
    primaryKey: [0],
  });
  if ('refused' in patient) throw new Error('it can be carried');
  const chunk = 'select `PatNum` from `patient`';
  const statements: Record<string, (connection: SourceConnection) => Promise<unknown>> = {
    'show grants': async (connection) => await connection.query('show grants'),
    [chunk]: async (connection) =>
      await readChunk(connection, chunk, patient, new LineBuffer(), { bytes: 1_000, ms: 1_000 }),
  };
  for (const [statement, send] of Object.entries(statements)) {
    const way = await between(isQuery(statement), asksForFile);
    const connection = await SourceConnection.open(new Scope(), way.config, 'reader');
    try {
      await expect(send(connection)).rejects.toMatchObject({
        kind: expect.stringMatching(/^(refused|internal)$/) as string,
      });
      expect(way.sent().includes(secret)).toBe(false);
    } finally {
      connection.destroy();
      way.close();
    }
  }
});

test('a server that asks for the password in clear is not told it', async () => {
  // The first that a client says is its login.
  const way = await between(
    () => true,
    (data) => packet((data[3] ?? 0) + 1, Buffer.from('\xfemysql_clear_password\0', 'latin1')),
  );
  try {
    await expect(SourceConnection.open(new Scope(), way.config, 'reader')).rejects.toMatchObject({
      kind: 'source-login',
    });
    expect(way.sent().includes(config.reader.password)).toBe(false);
  } finally {
    way.close();
  }
});
