import { TidegateError } from '../errors/tidegate-error.ts';
import type { SourceConnection } from './connection.ts';
import type { OnDemandConnection } from './on-demand-connection.ts';
import { isAtLeast } from './server-version.ts';

/**
 * How far a source that is a replica itself is behind the server it copies from. Needs REPLICATION CLIENT on MySQL and SLAVE MONITOR
 * on MariaDB; without, nothing is known, and `check` says so.
 */
export class ReplicaLag {
  readonly #replicator: OnDemandConnection;
  #isTold = true;

  constructor(replicator: OnDemandConnection) {
    this.#replicator = replicator;
  }

  /** In seconds, beyond what it is told to stay behind; 0 also where it is no replica, does not run as one, or does not tell. */
  async seconds(): Promise<number> {
    if (!this.#isTold) return 0;
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
      this.#isTold = false;
      return 0;
    }
  }
}

function statusOf({ version }: SourceConnection): string {
  if (version?.flavor === 'mariadb') return 'show all slaves status';
  const isRenamed = version !== null && isAtLeast(version, { mariadb: null, mysql: [8, 4] });
  return isRenamed ? 'show replica status' : 'show slave status';
}
