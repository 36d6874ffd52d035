import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import mysql, { type Connection } from 'mysql2';
import mysqlPromise, { type Connection as Admin, type RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { socketOf } from '../../../src/mysql/wire/socket.ts';
import { Authority } from '../../../testing/servers/certificates.ts';
import type { SourceServer } from '../../../testing/servers/server.ts';
import { startSource } from '../../../testing/servers/source.ts';

let authority: Authority;
let source: SourceServer;
let admin: Admin;
let ca: string;
const login = () => ({ host: source.host, port: source.port, user: source.user, password: source.password });

beforeAll(async () => {
  authority = await Authority.create();
  const { certificate, key } = await authority.issue('localhost', process.getuid?.() ?? 0);
  source = await startSource({
    args: [`--ssl-ca=${authority.file}`, `--ssl-cert=${certificate}`, `--ssl-key=${key}`],
  });
  ca = await readFile(authority.file, 'utf8');
  admin = await mysqlPromise.createConnection(login());
});

afterAll(async () => {
  admin?.destroy();
  await source?.stop();
  await authority?.dispose();
});

/** A connection, with its socket as it is before and after the login. */
async function connect(isTls: boolean): Promise<{ connection: Connection; first: Socket; last: Socket }> {
  const connection = mysql.createConnection({ ...login(), ...(isTls ? { ssl: { ca } } : {}) });
  connection.on('error', () => undefined);
  const first = socketOf(connection);
  await once(connection, 'connect');
  return { connection, first, last: socketOf(connection) };
}

test('the socket is a plain one at first, and with TLS another one after the login', async () => {
  const [plain, encrypted] = [await connect(false), await connect(true)];
  for (const { first } of [plain, encrypted]) {
    expect(first).toBeInstanceOf(Socket);
    expect(first).not.toBeInstanceOf(TLSSocket);
  }
  expect(plain.last).toBe(plain.first);
  expect(encrypted.last).toBeInstanceOf(TLSSocket);
  for (const { connection } of [plain, encrypted]) connection.destroy();
});

test.each([false, true])('the socket counts what the server sends, with TLS: %s', async (isTls) => {
  const { connection, last } = await connect(isTls);
  const before = last.bytesRead;
  await new Promise((resolve) => connection.query(`select repeat('x', 100000)`, resolve));
  expect(last.bytesRead - before).toBeGreaterThan(100_000);
  connection.destroy();
});

test.each([
  ['first', false],
  ['first', true],
  ['last', true],
] as const)('destroying the %s socket ends the connection at both ends, with TLS: %s', async (which, isTls) => {
  const { connection, ...sockets } = await connect(isTls);
  const lost = once(connection, 'error');
  sockets[which].destroy();
  expect(await lost).toMatchObject([{ code: 'PROTOCOL_CONNECTION_LOST' }]);
  const isListed = async () => {
    const [rows] = await admin.query<RowDataPacket[]>('show processlist');
    return rows.some((row) => row['Id'] === connection.threadId);
  };
  while (await isListed()) await sleep(20);
});
