import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SourceConfig } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load-config.ts';
import { openGuarded } from '../../../src/mysql/wire/guarded-connection.ts';
import { socketOf } from '../../../src/mysql/wire/socket.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { Authority } from '../../../testing/servers/certificates.ts';
import { sharedServers } from '../../support/shared-servers.ts';
import { silentServer } from './support/silent-server.ts';
import { Scope } from '../../../src/lifetime/scope.ts';

let replica: Replica;
let config: SourceConfig;
let authority: Authority;
let ca: string;
let certificate: { readonly cert: Buffer; readonly key: Buffer };

beforeAll(async () => {
  const { source, target } = sharedServers();
  replica = await createReplica(source, target);
  config = loadConfig({ ...replica.env }).source;
  authority = await Authority.create();
  ca = await readFile(authority.file, 'utf8');
  const issued = await authority.issue('localhost', process.getuid?.() ?? 0);
  certificate = { cert: await readFile(issued.certificate), key: await readFile(issued.key) };
});

afterAll(async () => {
  await replica?.drop();
  await authority?.dispose();
});

/** Opens a connection to a peer, hangs up once it was told a login, and returns what it was told. */
async function toldTo(mode: SourceConfig['tls']['mode'], host: string): Promise<{ kind: unknown; told: Buffer }> {
  const { port, login, told } = await silentServer(mode === 'disable' ? null : certificate);
  const scope = new Scope();
  void login.then(() => scope.hangUp(new Error('hung up')));
  const kind = await openGuarded(scope, { ...config, host, port, tls: { mode, ca } }, 'reader').then(
    () => null,
    (error: { kind?: unknown }) => error.kind,
  );
  return { kind, told: await told };
}

test('the login comes after the certificate was compared with the host, an address, too, also where one was taken before', async () => {
  const withoutName = await toldTo('verify-ca', '127.0.0.1');
  expect(withoutName.told.includes(config.reader.user)).toBe(true);
  expect((await toldTo('verify-full', 'localhost')).told.includes(config.reader.user)).toBe(true);
  expect(await toldTo('verify-full', '127.0.0.1')).toEqual({ kind: 'source-tls', told: Buffer.alloc(0) });
});

test.each(['disable', 'verify-ca'] as const)(
  'a login that nobody answers can be hung up on, with TLS: %s',
  async (mode) => {
    // The peer notices, too: otherwise nothing would be returned.
    expect((await toldTo(mode, '127.0.0.1')).kind).toBe('source-unreachable');
  },
);

/** https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html */
const unwanted = {
  compress: 1 << 5,
  localFiles: 1 << 7,
  multiStatements: 1 << 16,
  deprecateEof: 1 << 24,
  optionalMetadata: 1 << 25,
  zstdCompression: 1 << 26,
  queryAttributes: 1 << 27,
};

test('whatever the server can do, the login asks for nothing that changes the packets we read and write ourselves', async () => {
  const { told } = await toldTo('disable', '127.0.0.1');
  const asked = told.readUInt32LE(4);
  expect(asked).not.toBe(0);
  expect(Object.entries(unwanted).filter(([, flag]) => (asked & flag) !== 0)).toEqual([]);
});

/** The connection of a reader, with what goes through writePacket and what goes to the socket after the login. */
async function watched() {
  const connection = await openGuarded(new Scope(), config, 'reader');
  const packets: Buffer[] = [];
  const bytes: Buffer[] = [];
  const wire = connection as unknown as { writePacket(packet: { readonly buffer: Buffer }): void };
  const socket = socketOf(connection) as { write(data: Buffer, ...more: unknown[]): boolean; destroyed: boolean };
  const [writePacket, write] = [wire.writePacket.bind(connection), socket.write.bind(socket)];
  wire.writePacket = (packet) => {
    packets.push(packet.buffer);
    writePacket(packet);
  };
  socket.write = (data, ...more) => {
    bytes.push(data);
    return write(data, ...more);
  };
  return { connection, socket, packets, bytes };
}

test('nothing goes to the socket but what goes through writePacket, a command behind four bytes', async () => {
  const { connection, packets, bytes } = await watched();
  await new Promise<void>((resolve, reject) => {
    connection.query('show grants', (error) => (error ? reject(error) : resolve()));
  });
  await new Promise((resolve) => connection.end(resolve));
  expect(packets.map((packet) => packet.toString('latin1', 4))).toEqual(['\x03show grants', '\x01']);
  expect(Buffer.concat(bytes)).toEqual(Buffer.concat(packets));
});

test('what is thrown in writePacket reaches the callback as it is; nothing is sent, and the socket is closed', async () => {
  const { connection, socket, packets, bytes } = await watched();
  const error = await new Promise((resolve) => connection.query('select 1 for update', resolve));
  expect(error).toMatchObject({ kind: 'refused' });
  expect([packets.length, bytes.length, socket.destroyed]).toEqual([1, 0, true]);
});
