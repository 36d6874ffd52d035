import { readFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { backendOf, lent, socketOf } from '../../../src/postgres/wire/client.ts';
import { Authority } from '../../../testing/servers/certificates.ts';
import type { TargetServer } from '../../../testing/servers/server.ts';
import { startTarget } from '../../../testing/servers/target.ts';
import type { SilenceWatch } from '../../../src/lifetime/silence-watch.ts';

let authority: Authority;
let target: TargetServer;
let admin: pg.Client;
let ca: string;

beforeAll(async () => {
  authority = await Authority.create();
  const self = process.getuid?.() ?? 0;
  // PostgreSQL does not run as root; the sandbox then runs it as nobody.
  const { certificate, key } = await authority.issue('localhost', self === 0 ? 65_534 : self);
  target = await startTarget({
    args: ['-c', 'ssl=on', '-c', `ssl_cert_file=${certificate}`, '-c', `ssl_key_file=${key}`],
  });
  ca = await readFile(authority.file, 'utf8');
  admin = client(false);
  await admin.connect();
});

afterAll(async () => {
  await admin?.end();
  await target?.stop();
  await authority?.dispose();
});

function client(isTls: boolean): pg.Client {
  const { port, user, password } = target;
  const ssl = isTls ? { ca } : false;
  const made = new pg.Client({ host: 'localhost', port, user, password, database: 'postgres', ssl });
  made.on('error', () => undefined);
  return made;
}

test('the socket is a plain one at first, and with TLS another one once it is connected', async () => {
  for (const isTls of [false, true]) {
    const connecting = client(isTls);
    const first = socketOf(connecting);
    expect(first).toBeInstanceOf(Socket);
    expect(first).not.toBeInstanceOf(TLSSocket);
    await connecting.connect();
    if (isTls) expect(socketOf(connecting)).toBeInstanceOf(TLSSocket);
    else expect(socketOf(connecting)).toBe(first);
    await connecting.end();
  }
});

test.each([false, true])('destroying it ends the query at work and the session, with TLS: %s', async (isTls) => {
  const lost = client(isTls);
  await lost.connect();
  const backend = backendOf(lost);
  const query = expect(lost.query('select 1')).rejects.toThrow('Connection terminated');
  socketOf(lost).destroy();
  await query;
  const isListed = async () =>
    (await admin.query('select from pg_stat_activity where pid = $1', [backend])).rowCount === 1;
  while (await isListed()) await sleep(20);
});

test('destroying it breaks a connection off that is about to begin', async () => {
  const begun = client(true);
  const connecting = expect(begun.connect()).rejects.toThrow();
  socketOf(begun).destroy();
  await connecting;
});

test('the backend is the process that PostgreSQL says it is', async () => {
  const told = client(false);
  expect(backendOf(told)).toBeNull();
  await told.connect();
  const { rows } = await told.query<{ pid: number }>('select pg_backend_pid() as pid');
  expect(backendOf(told)).toBe(rows[0]?.pid);
  await told.end();
});

test('a client is lent with its queries and a release that does nothing', async () => {
  const own = client(false);
  await own.connect();
  const watch = { during: async <T>(answer: Promise<T>) => await answer, close: () => undefined };
  const borrowed = lent(own, watch as unknown as SilenceWatch);
  expect((await borrowed.query('select 1 as n')).rows).toEqual([{ n: 1 }]);
  borrowed.release();
  await expect(borrowed.query('select 1 / 0')).rejects.toMatchObject({ kind: 'target-refused' });
  expect((await own.query('select 1 as n')).rows).toEqual([{ n: 1 }]);
  await own.end();
});
