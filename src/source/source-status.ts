import type { Position } from '../change/position.ts';
import type { SourceConnection } from './connection.ts';
import { mariadbTransactionsBehind, mysqlTransactionsBehind } from './gtid-distance.ts';
import { readHead } from './positions.ts';
import { retentionSeconds, retentionVariables } from './retention.ts';
import { readServerFlavor } from './server-flavor.ts';

/** Where the source is, by its own account. */
export interface SourceStatus {
  readonly identity: string;
  readonly head: Position;
  /** Its clock, in seconds since 1970: the commit times are by it, so skew between the machines does not matter. */
  readonly clock: number;
  /** Its clock minus this machine's, in seconds. */
  readonly clockSkew: number;
  /** How long it keeps a binlog file that it no longer writes, in seconds; 0: until somebody purges. */
  readonly retention: number;
  /** How many transactions are in its binlog that a place by GTID lacks; null: it numbers none. */
  transactionsSince(gtid: string): number | null;
}

/** Asks for the head first: what the target has when it is asked afterwards can only be nearer to it. */
export async function readSourceStatus(replicator: SourceConnection): Promise<SourceStatus> {
  const head = await readHead(replicator);
  const [time] = await replicator.query('select unix_timestamp() as clock');
  const clock = Number(time?.['clock']);
  const server = await readServerFlavor(replicator);
  const names = retentionVariables.map((name) => `'${name}'`).join(', ');
  const rows = await replicator.query(`show global variables where variable_name in (${names})`);
  const variables = new Map(rows.map((row) => [row['Variable_name']?.toLowerCase() ?? '', row['Value'] ?? '']));
  const executed = server.gtids ? await readExecuted(replicator, server.flavor) : null;
  const count = server.flavor === 'mariadb' ? mariadbTransactionsBehind : mysqlTransactionsBehind;
  return {
    identity: server.identity,
    head,
    clock,
    // Seconds are cut off there, and half of one is lost on average.
    clockSkew: Math.round(clock + 0.5 - Date.now() / 1000),
    retention: retentionSeconds(variables),
    transactionsSince: (gtid) => (executed === null ? null : count(executed, gtid)),
  };
}

async function readExecuted(replicator: SourceConnection, flavor: 'mariadb' | 'mysql'): Promise<string> {
  const variable = flavor === 'mariadb' ? '@@global.gtid_binlog_state' : '@@global.gtid_executed';
  const [row] = await replicator.query(`select ${variable} as gtid`);
  return row?.['gtid'] ?? '';
}
