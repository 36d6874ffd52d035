import type { Socket } from 'node:net';
import type { Connection } from 'mysql2';

/** The socket of a mysql2 connection: a plain one first, the TLS one after the handshake. mysql2 does not publish it. */
export function socketOf(connection: Connection): Socket {
  return (connection as unknown as { readonly stream: Socket }).stream;
}
