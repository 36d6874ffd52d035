import { connect } from 'node:net';

/** Length and code of SSLRequest (https://www.postgresql.org/docs/current/protocol-message-formats.html). */
const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
const timeoutMs = 5_000;

/**
 * Whether a PostgreSQL server answers that it speaks no TLS. pg raises the same error without a code for this as for a lost
 * connection, and only this one must not be tried again and again. False when it could not be found out.
 */
export async function refusesTls(host: string, port: number): Promise<boolean> {
  return await new Promise<boolean>((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs }, () => socket.write(sslRequest));
    const answer = (refuses: boolean) => {
      resolve(refuses);
      socket.destroy();
    };
    socket.once('data', (reply) => answer(reply.toString('latin1') === 'N'));
    for (const event of ['timeout', 'error', 'close']) socket.once(event, () => answer(false));
  });
}
