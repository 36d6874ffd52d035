import { setTimeout as sleep } from 'node:timers/promises';
import mysql, { type Connection, type ConnectionOptions } from 'mysql2/promise';
import { Client, type ClientConfig } from 'pg';
import { fromMysql } from '../../src/errors/mysql-errors.ts';
import { fromPostgres } from '../../src/errors/postgres-errors.ts';

const againMs = 100;

/**
 * Does `work` in a session of the source. When the server goes away, it begins again in a new session, until `signal` aborts. Other errors
 * are raised.
 */
export async function whileSourceConnected(
  options: ConnectionOptions,
  signal: AbortSignal,
  work: (session: Connection) => Promise<void>,
): Promise<void> {
  const open = async () => {
    const session = await mysql.createConnection(options);
    // The next query reports a lost connection.
    session.on('error', () => undefined);
    return { session, close: () => session.destroy() };
  };
  const isLost = (error: unknown) => fromMysql(error, { what: '', role: 'reader' }).kind === 'source-unreachable';
  await again(open, isLost, signal, work);
}

/** The same in a session of the target. */
export async function whileTargetConnected(
  options: ClientConfig,
  signal: AbortSignal,
  work: (session: Client) => Promise<void>,
): Promise<void> {
  const open = async () => {
    const session = new Client(options);
    session.on('error', () => undefined);
    await session.connect();
    return { session, close: async () => await session.end() };
  };
  const isLost = (error: unknown) => fromPostgres(error, { what: '' }).kind === 'target-unreachable';
  await again(open, isLost, signal, work);
}

async function again<T>(
  open: () => Promise<{ readonly session: T; close(): unknown }>,
  isLost: (error: unknown) => boolean,
  signal: AbortSignal,
  work: (session: T) => Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const { session, close } = await open();
      try {
        await work(session);
        return;
      } finally {
        await close();
      }
    } catch (error) {
      if (!isLost(error)) throw error;
      await sleep(againMs);
    }
  }
}
