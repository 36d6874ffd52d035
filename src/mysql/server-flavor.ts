import type { SourceConfig } from '../config/config.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import type { Scope } from '../lifetime/scope.ts';
import { SourceConnection } from './connection.ts';
import type { SourceRole } from './wire/guarded-connection.ts';
import { flavorOf } from './server-version.ts';

/** The facts that decide how positions of a server look. */
export interface PositionFlavor {
  readonly flavor: 'mariadb' | 'mysql';
  /** 'mysql': gtid_mode is ON. MariaDB always numbers transactions. */
  readonly gtids: boolean;
}

/** The facts that decide how the binlog of this server is read. */
export interface ServerFlavor extends PositionFlavor {
  /** Names are compared without case (lower_case_table_names 1 or 2). */
  readonly foldNames: boolean;
  /** Distinguishes this server from another one at the same address. */
  readonly identity: string;
  /** Its own server_id. No other server of its replication group has the same one. */
  readonly serverId: number;
}

export async function readServerFlavor(connection: SourceConnection): Promise<ServerFlavor> {
  const rows = await connection.query(
    `show global variables where variable_name in ('version', 'gtid_mode', 'lower_case_table_names', 'server_uuid', 'server_id', 'hostname')`,
  );
  const variables = new Map(rows.map((row) => [row['Variable_name']?.toLowerCase(), row['Value'] ?? '']));
  const flavor = flavorOf(variables.get('version') ?? '');
  return {
    flavor,
    gtids: flavor === 'mariadb' || variables.get('gtid_mode') === 'ON',
    foldNames: variables.get('lower_case_table_names') !== '0',
    identity: variables.get('server_uuid') ?? `${variables.get('hostname')}/${variables.get('server_id')}`,
    serverId: Number(variables.get('server_id')),
  };
}

/** Opens a connection to this server. Raises source-unreachable if the address leads to a different server. */
export async function openOn(
  scope: Scope,
  source: SourceConfig,
  role: SourceRole,
  server: ServerFlavor,
): Promise<SourceConnection> {
  const connection = await SourceConnection.open(scope, source, role);
  try {
    const { identity } = await readServerFlavor(connection);
    if (identity === server.identity) return connection;
  } catch (error) {
    connection.destroy();
    throw error;
  }
  connection.destroy();
  throw new TidegateError(
    'source-unreachable',
    `the ${role} reached another server than the one that the stream reads from`,
  );
}
