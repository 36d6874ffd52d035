import { once } from 'node:events';
import { type AddressInfo, type Socket, createServer } from 'node:net';
import pg from 'pg';
import { expect, test } from 'vitest';
import { askForTls } from '../../../src/postgres/wire/tls-probe.ts';
import { Authority } from '../../../testing/servers/certificates.ts';
import { startTarget } from '../../../testing/servers/target.ts';
import { sharedServers } from '../../support/shared-servers.ts';

test('a server without TLS says so, and so does what is no PostgreSQL; pg tells neither by a code', async () => {
  const { source, target } = sharedServers();
  for (const [{ host, port }, answer] of [
    [target, 'no-tls'],
    [source, 'no-postgres'],
  ] as const) {
    expect(await askForTls(host, port)).toBe(answer);
    const client = new pg.Client({ host, port, user: 'nobody', password: '', ssl: true });
    client.on('error', () => undefined);
    const error: unknown = await client.connect().then(
      () => null,
      (raised: unknown) => raised,
    );
    expect(error).toBeInstanceOf(Error);
    expect((error as { code?: unknown }).code).toBeUndefined();
  }
});

test('a server with TLS says so', async () => {
  const authority = await Authority.create();
  const self = process.getuid?.() ?? 0;
  // PostgreSQL does not run as root; the sandbox then runs it as nobody.
  const { certificate, key } = await authority.issue('localhost', self === 0 ? 65_534 : self);
  const { host, port, stop } = await startTarget({
    args: ['-c', 'ssl=on', '-c', `ssl_cert_file=${certificate}`, '-c', `ssl_key_file=${key}`],
  });
  try {
    expect(await askForTls(host, port)).toBe('tls');
  } finally {
    await stop();
    await authority.dispose();
  }
});

test.each([
  ['hangs up', (client: Socket) => client.destroy()],
  ['raises an error, being out of processes', (client: Socket) => client.write('EFATAL: could not fork\0')],
])('of a server that %s nothing is known', async (_, reply) => {
  const server = createServer((client) => {
    client.on('error', () => undefined);
    client.once('data', () => reply(client));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    expect(await askForTls('127.0.0.1', port)).toBe('unknown');
  } finally {
    server.close();
  }
  expect(await askForTls('127.0.0.1', port)).toBe('unknown');
});
