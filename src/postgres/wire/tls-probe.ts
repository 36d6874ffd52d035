import { connect } from 'node:net';

/** Length and code of SSLRequest (https://www.postgresql.org/docs/current/protocol-message-formats.html). */
const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
const timeoutMs = 5_000;

type TlsAnswer = 'tls' | 'no-tls' | 'no-postgres' | 'unknown';

/**
 * Sends a PostgreSQL SSLRequest to a server and classifies the answer. pg raises errors without a code in three cases: no TLS, another
 * service, and a lost connection.
 */
export async function askForTls(host: string, port: number): Promise<TlsAnswer> {
  return await new Promise<TlsAnswer>((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs }, () => socket.write(sslRequest));
    const answer = (result: TlsAnswer) => {
      resolve(result);
      socket.destroy();
    };
    socket.once('data', (reply) => answer(meaningOf(reply)));
    for (const event of ['timeout', 'error', 'close']) socket.once(event, () => answer('unknown'));
  });
}

/** PostgreSQL answers with one byte, or with an error if it accepts no connections. */
function meaningOf(reply: Buffer): TlsAnswer {
  const text = reply.toString('latin1');
  if (text === 'S') return 'tls';
  if (text === 'N') return 'no-tls';
  return text.startsWith('E') ? 'unknown' : 'no-postgres';
}
