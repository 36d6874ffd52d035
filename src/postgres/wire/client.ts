import type { Socket } from 'node:net';
import type { Client, PoolClient } from 'pg';

/** The socket of a pg client: a plain one first, the TLS one once it is connected. pg does not publish it. */
export function socketOf(client: Client): Socket {
  return (client as unknown as { readonly connection: { readonly stream: Socket } }).connection.stream;
}

/** The process id that the server's greeting told. pg does not publish it. */
export function backendOf(client: Client): number {
  return (client as unknown as { readonly processID: number }).processID;
}

/** The client as a pool lends it. Giving it back does nothing. */
export function lent(client: Client): PoolClient {
  return Object.assign(client, { release: () => undefined });
}
