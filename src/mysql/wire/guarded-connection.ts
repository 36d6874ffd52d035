import { type TLSSocket, checkServerIdentity } from 'node:tls';
import mysql from 'mysql2';
import type { SourceConfig } from '../../config/config.ts';
import { fromMysql } from '../../errors/mysql-errors.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { addressOf, isCertificateCode } from '../../errors/transport-errors.ts';
import { type Scope, breakable } from '../../lifetime/scope.ts';
import { quoteName } from '../identifiers.ts';
import { assertAllowedStatement } from '../guard/statement-guard.ts';
import { boundPackets } from './packet-bound.ts';
import { socketOf } from './socket.ts';

/** Protocol commands that a role may send (https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html). */
const command = { quit: 0x01, query: 0x03, binlogDump: 0x12, binlogDumpGtid: 0x1e } as const;
const commandsOf = {
  reader: new Set<number>([command.quit, command.query]),
  replicator: new Set<number>([command.quit, command.query, command.binlogDump, command.binlogDumpGtid]),
} as const;

/**
 * Our account at the source. `reader` may SELECT from the replicated database. `replicator` may read the binlog and the positions of the
 * server. There is no third role: no caller can request a writable connection to the source.
 */
export type SourceRole = keyof typeof commandsOf;

const connectTimeoutMs = 10_000;
const headerBytes = 4;

/**
 * Logs in and returns the connection with the statement guard in front of its socket. From now on the guard checks the bytes of everything
 * that we or zongji send. It refuses what it does not allow, and that ends the connection. Raises TidegateError refused,
 * source-unreachable, source-tls, source-login or source-privilege.
 */
export async function openGuarded(scope: Scope, source: SourceConfig, role: SourceRole): Promise<mysql.Connection> {
  // The types require this, too. The check is for callers without types.
  if (!Object.hasOwn(commandsOf, role))
    throw new TidegateError('refused', 'the source can be connected to as reader or as replicator only');
  scope.throwIfHungUp();
  const connection = mysql.createConnection(connectionOptions(source, role));
  // Not by its destroy(), which would wait to send a goodbye to a server that does not answer.
  const socket = socketOf(connection);
  const opening = breakable(() => socket.destroy(new Error('hung up')));
  scope.own(opening);
  boundPackets(connection);
  const tls = watchTls(connection, source);
  await new Promise<void>((resolve, reject) => {
    // Also keeps a connection that breaks while idle from crashing the process. The next query reports it.
    connection.on('error', reject);
    connection.connect((error) => (error ? reject(error) : resolve()));
  })
    .catch((error: unknown) => {
      connection.destroy();
      const what = `connect to ${addressOf(source)}`;
      throw fromMysql(error, { what, role, user: quoteName(source[role].user), certificate: tls.refusal });
    })
    .finally(() => scope.disown(opening));
  const wire = connection as unknown as { writePacket(packet: { readonly buffer: Buffer }): void };
  const writePacket = wire.writePacket.bind(connection);
  // mysql2 passes an error thrown here to the callback of the command and hangs up.
  wire.writePacket = (packet) => {
    assertAllowedCommand(packet.buffer.subarray(headerBytes), role);
    writePacket(packet);
  };
  return connection;
}

/**
 * Compares the certificate with the host, a name or an address, before the login is sent. mysql2 would compare it with "localhost" if the
 * host is an address. `refusal` is the code of a certificate that was not accepted, for which mysql2 has one code only.
 */
function watchTls(connection: mysql.Connection, source: SourceConfig): { readonly refusal: string | undefined } {
  const wire = connection as unknown as { startTLS(done: (error?: Error) => void): void; readonly stream: TLSSocket };
  const startTls = wire.startTLS.bind(connection);
  const seen: { refusal: string | undefined } = { refusal: undefined };
  const verifies = source.tls.mode === 'verify-full';
  wire.startTLS = (done) =>
    startTls((error) => {
      const refused =
        error ?? (verifies ? checkServerIdentity(source.host, wire.stream.getPeerCertificate()) : undefined);
      const { code } = (refused ?? {}) as { code?: unknown };
      if (typeof code === 'string' && isCertificateCode(code)) seen.refusal = code;
      done(refused);
    });
  return seen;
}

function assertAllowedCommand(payload: Buffer, role: SourceRole): void {
  const code = payload[0] ?? -1;
  if (!commandsOf[role].has(code))
    throw new TidegateError('refused', `the ${role} must not send protocol command ${code}`);
  if (code === command.query) assertAllowedStatement(decode(payload.subarray(1)));
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new TidegateError('refused', 'a statement for the source was refused: it is not UTF-8');
  }
}

function connectionOptions(source: SourceConfig, role: SourceRole): mysql.ConnectionOptions {
  const { user, password } = source[role];
  const { mode, ca } = source.tls;
  return {
    host: source.host,
    port: source.port,
    user,
    password,
    // The replicator has no right on any database, so it must not name one.
    ...(role === 'reader' ? { database: source.database } : {}),
    charset: 'utf8mb4_general_ci',
    connectTimeout: connectTimeoutMs,
    enableKeepAlive: true,
    keepAliveInitialDelay: 10_000,
    // Never on: one call is one statement.
    multipleStatements: false,
    // No server may request a file from us. Also, row-packets.ts writes COM_QUERY packets itself, without query attributes.
    flags: ['-LOCAL_FILES', '-CLIENT_QUERY_ATTRIBUTES'],
    ...(mode === 'disable'
      ? {}
      : {
          ssl: {
            ...(ca === undefined ? {} : { ca }),
            rejectUnauthorized: true,
            // verifyHost does this.
            verifyIdentity: false,
          },
        }),
  };
}
