import { type Position, comparePositions } from '../../change/position.ts';
import type { SourceConfig } from '../../config/config.ts';
import type { Scope } from '../../lifetime/scope.ts';
import { SourceConnection } from '../connection.ts';
import { mariadbTransactionsBehind, mysqlTransactionsBehind } from './gtid-distance.ts';
import { readBinlogFiles, readHead } from './positions.ts';
import { retentionSeconds, retentionVariables } from './retention.ts';
import { type ServerFlavor, readServerFlavor } from '../server-flavor.ts';

/** The position of the source and its clock, as the source reports them. */
export interface SourceStatus {
  readonly identity: string;
  /** Its clock just before its head was read, in seconds since 1970. */
  readonly clock: number;
  readonly head: Position;
  /** Its clock minus this machine's, in seconds. */
  readonly clockSkew: number;
  /** How long it keeps a binlog file that it no longer writes, in seconds; 0: until it is purged by hand. */
  readonly retention: number;
  /** The number of transactions in its binlog that a GTID position lacks; null: the server has no GTIDs. */
  transactionsSince(gtid: string): number | null;
  /** Whether the position has something that is not in its binlog. Then the binlog was reset or restored since. */
  lacks(position: Position): boolean;
}

export type BinlogFiles = Awaited<ReturnType<typeof readBinlogFiles>>;

/** How often rarely changed facts are read again: settings, and the list of files, because a server opens each file for it. */
const settingsMs = 60_000;
const filesMs = 10_000;

/** A replicator session that reads the position of the source, once or repeatedly. Each read is two short queries. */
export class SourceProbe {
  readonly #connection: SourceConnection;
  #settings: { readonly at: number; readonly server: ServerFlavor; readonly retention: number } | null = null;
  #executed: { readonly head: Position; readonly gtid: string } | null = null;
  #files: { readonly at: number; readonly list: BinlogFiles } | null = null;

  private constructor(connection: SourceConnection) {
    this.#connection = connection;
  }

  static async open(scope: Scope, source: SourceConfig): Promise<SourceProbe> {
    return new SourceProbe(await SourceConnection.open(scope, source, 'replicator'));
  }

  /**
   * Reads the clock first, so that transactions after the head were committed later than that. The target's position, which is read
   * afterwards, can only be nearer to the head.
   */
  async read(): Promise<SourceStatus> {
    const { server, retention } = await this.#readSettings();
    const asked = Date.now();
    const [time] = await this.#connection.query('select unix_timestamp(now(6)) as clock');
    const clock = Number(time?.['clock']);
    const clockSkew = Math.round(clock - (asked + Date.now()) / 2000);
    const head = await readHead(this.#connection);
    const executed = server.gtids ? await this.#readExecuted(server, head) : null;
    const count = server.flavor === 'mariadb' ? mariadbTransactionsBehind : mysqlTransactionsBehind;
    return {
      ...{ identity: server.identity, clock, head, clockSkew, retention },
      transactionsSince: (gtid) => (executed === null ? null : count(executed, gtid)),
      lacks: (position) =>
        executed === null || position.gtid === null
          ? comparePositions(position, head) > 0
          : count(position.gtid, executed) > 0,
    };
  }

  /** The files that the source still has. Returns a recent list if that is still accurate enough. */
  async files(head: Position): Promise<BinlogFiles> {
    const known = this.#files;
    if (known !== null && performance.now() - known.at < filesMs && known.list.some(({ file }) => file === head.file))
      return known.list;
    const list = await readBinlogFiles(this.#connection);
    this.#files = { at: performance.now(), list };
    return list;
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  async #readSettings() {
    if (this.#settings !== null && performance.now() - this.#settings.at < settingsMs) return this.#settings;
    const server = await readServerFlavor(this.#connection);
    const names = retentionVariables.map((name) => `'${name}'`).join(', ');
    const rows = await this.#connection.query(`show global variables where variable_name in (${names})`);
    const variables = new Map(rows.map((row) => [row['Variable_name']?.toLowerCase() ?? '', row['Value'] ?? '']));
    this.#settings = { at: performance.now(), server, retention: retentionSeconds(variables) };
    return this.#settings;
  }

  /** If the head has not moved, the executed set has not changed either. */
  async #readExecuted({ flavor }: ServerFlavor, head: Position): Promise<string> {
    if (this.#executed !== null && comparePositions(this.#executed.head, head) === 0) return this.#executed.gtid;
    const variable = flavor === 'mariadb' ? '@@global.gtid_binlog_state' : '@@global.gtid_executed';
    const [row] = await this.#connection.query(`select ${variable} as gtid`);
    const gtid = row?.['gtid'] ?? '';
    this.#executed = { head, gtid };
    return gtid;
  }
}
