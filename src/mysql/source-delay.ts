import { TidegateError } from '../errors/tidegate-error.ts';
import type { SourceConnection } from './connection.ts';
import type { OnDemandConnection } from './on-demand-connection.ts';
import { isAtLeast } from './server-version.ts';

/**
 * How far a source that is itself a replica is behind the server it copies from. Needs REPLICATION CLIENT on MySQL and SLAVE MONITOR on
 * MariaDB. Without the privilege the lag is unknown, and `check` reports that.
 */
export class SourceDelay {
  readonly #replicator: OnDemandConnection;
  #isShown = true;

  constructor(replicator: OnDemandConnection) {
    this.#replicator = replicator;
  }

  /**
   * In seconds, minus the delay that the source is configured to keep (SQL_Delay). 0 also if the source is no replica, does not replicate
   * now, or does not show its lag.
   */
  async seconds(): Promise<number> {
    if (!this.#isShown) return 0;
    try {
      const channels = await this.#replicator.use(async (connection) => await connection.query(statusOf(connection)));
      return Math.max(
        0,
        ...channels.map(
          (channel) =>
            Number(channel['Seconds_Behind_Source'] ?? channel['Seconds_Behind_Master'] ?? 0) -
            Number(channel['SQL_Delay'] ?? 0),
        ),
      );
    } catch (error) {
      if (!(error instanceof TidegateError) || error.kind !== 'source-privilege') throw error;
      this.#isShown = false;
      return 0;
    }
  }
}

function statusOf({ version }: SourceConnection): string {
  if (version?.flavor === 'mariadb') return 'show all slaves status';
  const isRenamed = version !== null && isAtLeast(version, { mariadb: null, mysql: [8, 4] });
  return isRenamed ? 'show replica status' : 'show slave status';
}
