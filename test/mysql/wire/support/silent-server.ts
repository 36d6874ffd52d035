import { once } from 'node:events';
import { type AddressInfo, type Socket, createServer } from 'node:net';
import { TLSSocket } from 'node:tls';

const everyCapability = '\xff\xff';
const greeting = `\n8.4.3\0\x01\0\0\0saltsalt\0${everyCapability}\x2d\x02\0${everyCapability}\x15${'\0'.repeat(10)}saltsaltsalt\0mysql_native_password\0`;
const tlsRequestBytes = 36;

interface SilentServer {
  readonly port: number;
  /** Resolves when a login has come. */
  readonly login: Promise<void>;
  /** All that was said, TLS taken off, once the client has hung up. */
  readonly told: Promise<Buffer>;
}

/** Says to one client that it can do everything, and does not answer the login. */
export async function silentServer(
  certificate: { readonly cert: Buffer; readonly key: Buffer } | null,
): Promise<SilentServer> {
  const login = Promise.withResolvers<void>();
  const told = Promise.withResolvers<Buffer>();
  const server = createServer((client) => {
    server.close();
    const received: Buffer[] = [];
    const listen = (socket: Socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (data) => {
        received.push(data);
        login.resolve();
      });
    };
    client.on('close', () => told.resolve(Buffer.concat(received))).on('error', () => undefined);
    client.write(Buffer.concat([Buffer.of(greeting.length, 0, 0, 0), Buffer.from(greeting, 'latin1')]));
    if (certificate === null) listen(client);
    else
      client.on('readable', function begin() {
        // No byte more: what comes next is TLS already.
        if (client.read(tlsRequestBytes) === null) return;
        client.off('readable', begin);
        listen(new TLSSocket(client, { isServer: true, ...certificate }));
      });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { port: (server.address() as AddressInfo).port, login: login.promise, told: told.promise };
}
