import type { Config } from '../../config/config.ts';
import { openAll } from '../open-all.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { OnDemandConnection } from '../../mysql/on-demand-connection.ts';
import { ReplicaLag } from '../../mysql/replica-lag.ts';
import { type ServerFlavor, openOn } from '../../mysql/server-flavor.ts';
import { sessionName } from '../../postgres/control/lease.ts';
import { TargetSession } from '../../postgres/session.ts';
import { Throttle, type ThrottleListener } from '../read/throttle.ts';
import { type CopyProgress, type CopyTask, type CopyWorker, copyTable } from './copy-table.ts';

export interface SnapshotListener extends ThrottleListener {
  progress(progress: CopyProgress): void;
  copied(table: string, rows: number): void;
  /** The source no longer gives the rows of the table as it was known. The operator must act; the other tables continue. */
  suspended(table: string, reason: string): Promise<void>;
}

/**
 * Copies tables, the largest first, with several workers in parallel. Rejects on the first failure that concerns more than one table.
 * Committed chunks stay.
 */
export async function copyTables(
  config: Config,
  server: ServerFlavor,
  epoch: bigint,
  tasks: readonly CopyTask[],
  listener: SnapshotListener,
  signal: AbortSignal,
  hangUp: AbortSignal,
): Promise<void> {
  const queue = tasks.toSorted((a, b) => b.estimatedRows - a.estimatedRows);
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);

  const replicator = new OnDemandConnection(async () => await openOn(config.source, 'replicator', server));
  const throttle = new Throttle(config.snapshotWindow, new ReplicaLag(replicator), listener);
  const work = async () => {
    const worker = await openWorker(config, server, epoch, hangUp);
    try {
      for (let task = queue.shift(); task !== undefined && !stop.aborted; task = queue.shift()) {
        const { table } = task.codec.schema;
        try {
          const rows = await copyTable(
            config,
            server,
            epoch,
            worker,
            throttle,
            task,
            (progress) => listener.progress(progress),
            stop,
          );
          listener.copied(table, rows);
        } catch (error) {
          const reason = reasonToSuspend(error);
          if (reason === null) throw error;
          await listener.suspended(table, reason);
        }
      }
    } catch (error) {
      failed.abort(error);
      throw error;
    } finally {
      await Promise.all([worker.reader.close(), worker.target.close()]);
    }
  };

  const count = Math.max(1, Math.min(config.snapshotConnections, tasks.length));
  const results = await Promise.allSettled(Array.from({ length: count }, work));
  await replicator.close();
  signal.throwIfAborted();
  const failure = results.find((result) => result.status === 'rejected');
  if (failure !== undefined) throw failed.signal.reason;
}

/** The reason to suspend a table, if a failure concerns only that table; else null. */
function reasonToSuspend(error: unknown): string | null {
  if (!(error instanceof TidegateError)) return null;
  if (error.kind === 'source-table') return `${error.message}. ${error.hint}`;
  return error.kind === 'target-refused' ? error.message : null;
}

async function openWorker(
  config: Config,
  server: ServerFlavor,
  epoch: bigint,
  hangUp: AbortSignal,
): Promise<CopyWorker> {
  const [reader, target] = await openAll(
    async () => await openOn(config.source, 'reader', server),
    async () => await TargetSession.open(config.target, sessionName('snapshot', config.target.schema, epoch), hangUp),
  );
  return { reader, target };
}
