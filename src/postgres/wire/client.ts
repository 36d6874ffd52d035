import type { Socket } from 'node:net';
import type { Client, PoolClient } from 'pg';
import { fromPostgres } from '../../errors/postgres-errors.ts';
import type { SilenceWatch } from '../../lifetime/silence-watch.ts';

/** The socket of a pg client: first the plain socket, then the TLS socket. pg does not publish it. */
export function socketOf(client: Client): Socket {
  return (client as unknown as { readonly connection: { readonly stream: Socket } }).connection.stream;
}

/** The process id from the greeting of the server. pg does not publish it. */
export function backendOf(client: Client): number {
  return (client as unknown as { readonly processID: number }).processID;
}

/**
 * The client as a pool lends it to Kysely, which needs these two. Each answer is watched, and what pg raises becomes a TidegateError
 * without row values. The release does nothing.
 */
export function lent(client: Client, watch: SilenceWatch): PoolClient {
  const query = async (text: string, values: unknown[]) => {
    try {
      return await watch.during(client.query(text, values));
    } catch (error) {
      throw fromPostgres(error, { what: 'apply' });
    }
  };
  return { query, release: () => undefined } as unknown as PoolClient;
}
