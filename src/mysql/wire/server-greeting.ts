import { type Socket, connect } from 'node:net';
import { fromMysql } from '../../errors/mysql-errors.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { addressOf } from '../../errors/transport-errors.ts';
import { flavorOf } from '../server-version.ts';

interface ServerName {
  readonly flavor: 'mariadb' | 'mysql';
  /** Such as '10.11.19-MariaDB-log' or '8.4.3'. */
  readonly version: string;
}

export interface Greeting extends ServerName {
  /** The address from which this machine reaches the server. */
  readonly localAddress: string;
}

const timeoutMs = 10_000;
const headerBytes = 4;
/** A greeting has about a hundred bytes. */
const mostBytes = 16 * 1024;
const protocolVersion = 10;
/** MariaDB before 11 puts this before its version, for replicas that accept only a one-digit major version. */
const replicationPrefix = /^5\.5\.5-(?=\d)/;

/**
 * Reads what a server sends to every client before any login. So it works before an account exists
 * (https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html). Raises
 * TidegateError source-unreachable.
 */
export async function readGreeting(host: string, port: number): Promise<Greeting> {
  const socket = connect({ host, port, timeout: timeoutMs });
  try {
    const name = await firstPacket(socket, addressOf({ host, port }));
    return { ...name, localAddress: (socket.localAddress ?? '').replace(/^::ffff:/, '') };
  } finally {
    socket.destroy();
  }
}

async function firstPacket(socket: Socket, address: string): Promise<ServerName> {
  return await new Promise<ServerName>((resolve, reject) => {
    let received = Buffer.alloc(0);
    const fail = (error: unknown) => reject(fromMysql(error, { what: `connect to ${address}`, role: 'reader' }));
    socket.on('data', (data) => {
      received = Buffer.concat([received, data]);
      try {
        const name = greetingIn(received);
        if (name !== null) resolve(name);
      } catch (error) {
        fail(error);
      }
    });
    socket.once('error', fail);
    socket.once('timeout', () => fail({ code: 'ETIMEDOUT' }));
    socket.once('close', () => fail({ code: 'PROTOCOL_CONNECTION_LOST' }));
  });
}

/** What the first packet says; null: it is not complete. Raises source-unreachable for anything that is no greeting. */
export function greetingIn(received: Buffer): ServerName | null {
  if (received.length < headerBytes) return null;
  const length = received.readUIntLE(0, 3);
  if (length <= mostBytes && received.length < headerBytes + length) return null;
  const packet = received.subarray(headerBytes, headerBytes + length);
  const end = packet.indexOf(0, 1);
  if (length > mostBytes || packet[0] !== protocolVersion || end === -1)
    throw new TidegateError(
      'source-unreachable',
      'source: what answers is no MySQL or MariaDB server, or a server that refuses this machine',
    );
  const version = packet.toString('latin1', 1, end).replace(replicationPrefix, '');
  return { flavor: flavorOf(version), version };
}
