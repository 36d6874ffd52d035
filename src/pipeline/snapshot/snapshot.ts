import type { Config } from '../../config/config.ts';
import type { Scope } from '../../lifetime/scope.ts';
import { OnDemandConnection } from '../../mysql/on-demand-connection.ts';
import { SourceDelay } from '../../mysql/source-delay.ts';
import { type ServerFlavor, openOn } from '../../mysql/server-flavor.ts';
import { Fence } from '../../postgres/control/fence.ts';
import { Throttle, type ThrottleListener } from '../read/throttle.ts';
import { type Suspension, suspensionOf } from '../suspension.ts';
import { limitLockWaits } from '../../postgres/rows/lock-timeout.ts';
import { type CopyProgress, type CopyTask, type CopyWorker, copyTable } from './copy-table.ts';

export interface SnapshotListener extends ThrottleListener {
  progress(progress: CopyProgress): void;
  copied(table: string, rows: number): void;
  /** A failure concerns this table alone, so the other tables continue. */
  suspended(table: string, suspension: Suspension): Promise<void>;
}

/**
 * Copies tables, the largest first, with several workers in parallel. Rejects on the first failure that concerns more than one table.
 * Committed chunks stay.
 */
export async function copyTables(
  scope: Scope,
  config: Config,
  server: ServerFlavor,
  epoch: bigint,
  tasks: readonly CopyTask[],
  listener: SnapshotListener,
): Promise<void> {
  const queue = tasks.toSorted((a, b) => b.estimatedRows - a.estimatedRows);
  // The first failure stops all workers.
  await using workers = scope.child();
  const failed = { error: null as unknown };
  const replicator = new OnDemandConnection(async () => await openOn(workers, config.source, 'replicator', server));
  const throttle = new Throttle(config, new SourceDelay(replicator), listener);
  const work = async () => {
    try {
      const worker = await openWorker(workers, config, server, epoch);
      for (let task = queue.shift(); task !== undefined && !workers.signal.aborted; task = queue.shift()) {
        const { table } = task.codec.schema;
        try {
          const rows = await copyTable(workers, config, server, worker, throttle, task, (progress) =>
            listener.progress(progress),
          );
          listener.copied(table, rows);
        } catch (error) {
          const suspension = suspensionOf(error);
          if (suspension === null) throw error;
          await listener.suspended(table, suspension);
        }
      }
    } catch (error) {
      failed.error ??= error;
      workers.stop(error);
      throw error;
    }
  };

  const count = Math.max(1, Math.min(config.snapshotConnections, tasks.length));
  const results = await Promise.allSettled(Array.from({ length: count }, work));
  scope.throwIfHungUp();
  scope.signal.throwIfAborted();
  if (results.some(({ status }) => status === 'rejected')) throw failed.error;
}

async function openWorker(scope: Scope, config: Config, server: ServerFlavor, epoch: bigint): Promise<CopyWorker> {
  const reader = await openOn(scope, config.source, 'reader', server);
  const fence = await Fence.open(scope, config.target, 'snapshot', epoch);
  await limitLockWaits(fence.session.db);
  return { reader, fence };
}
