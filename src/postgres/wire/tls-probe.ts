import { connect } from 'node:net';

/** Length and code of SSLRequest (https://www.postgresql.org/docs/current/protocol-message-formats.html). */
const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
const timeoutMs = 5_000;

type TlsAnswer = 'tls' | 'no-tls' | 'no-postgres' | 'unknown';

/**
 * What a server answers when it is asked for TLS as PostgreSQL is. pg raises errors without a code where it speaks none and where
 * something else answers, as for a lost connection.
 */
export async function askForTls(host: string, port: number): Promise<TlsAnswer> {
  return await new Promise<TlsAnswer>((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs }, () => socket.write(sslRequest));
    const answer = (said: TlsAnswer) => {
      resolve(said);
      socket.destroy();
    };
    socket.once('data', (reply) => answer(meaningOf(reply)));
    for (const event of ['timeout', 'error', 'close']) socket.once(event, () => answer('unknown'));
  });
}

/** PostgreSQL's answer is one letter, or an error where it cannot serve anybody. */
function meaningOf(reply: Buffer): TlsAnswer {
  const text = reply.toString('latin1');
  if (text === 'S') return 'tls';
  if (text === 'N') return 'no-tls';
  return text.startsWith('E') ? 'unknown' : 'no-postgres';
}
