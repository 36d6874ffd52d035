import type { Socket } from 'node:net';
import type { Client, PoolClient } from 'pg';

/** The socket of a pg client: first the plain socket, then the TLS socket. pg does not publish it. */
export function socketOf(client: Client): Socket {
  return (client as unknown as { readonly connection: { readonly stream: Socket } }).connection.stream;
}

/** The process id from the greeting of the server. pg does not publish it. */
export function backendOf(client: Client): number {
  return (client as unknown as { readonly processID: number }).processID;
}

/** The client as a pool lends it. Its release does nothing. */
export function lent(client: Client): PoolClient {
  return Object.assign(client, { release: () => undefined });
}
