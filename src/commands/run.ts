import { hostname } from 'node:os';
import packageJson from '../../package.json' with { type: 'json' };
import type { Config } from '../config/config.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { serveStatus } from '../monitoring/http-server.ts';
import { type Log, createLog } from '../monitoring/log.ts';
import { Metrics } from '../monitoring/metrics.ts';
import { Monitor } from '../monitoring/monitor.ts';
import { ProgressBars } from '../monitoring/progress.ts';
import { stalls } from '../monitoring/stalls.ts';
import { type CheckOptions, runChecks } from '../pipeline/check/preflight.ts';
import { replicate } from '../pipeline/replicator.ts';
import { RunListener } from './run-listener.ts';

/** Exit codes of `run`: stopped cleanly; failed; refused by the checks. */
const exit = { stopped: 0, failed: 1, refused: 2 } as const;

/**
 * Copies the tables that are missing, then streams until stopped. The first SIGTERM or SIGINT finishes the current batch. The second
 * ends the process at once, which only costs that batch.
 */
export async function run(config: Config, options: CheckOptions & { untilCaughtUp: boolean }): Promise<number> {
  const bars = process.stdout.isTTY ? new ProgressBars(process.stdout) : null;
  const log = createLog(config.logLevel, bars === null ? {} : { terminal: bars });
  const stop = stopOnSignal(log);
  log.info(
    { target: config.target.schema, source: config.source.database, host: hostname(), pid: process.pid },
    'starting',
  );
  const findings = await runChecks(config, options);
  for (const { level, message, ...facts } of findings) {
    if (level === 'error') log.error(facts, message);
    else if (level === 'warning') log.warn(facts, message);
  }
  if (findings.some(({ level }) => level === 'error')) {
    log.error('refused: fix the errors above, then run again');
    return exit.refused;
  }

  const metrics = new Metrics(packageJson.version);
  const monitor = new Monitor(config, metrics, (reason) => {
    if (reason === null) log.info('moves again');
    else log.warn({ reason, remedy: stalls[reason] }, 'stalled');
  });
  const server = config.listen === null ? null : serveStatus(config.listen, { log, metrics, monitor });
  const listener = new RunListener({ log, metrics, monitor, bars });
  try {
    await replicate(config, { until: options.untilCaughtUp ? 'caught-up' : 'stopped' }, listener, stop.signal);
    const { transactions, rows } = monitor.throughput.total;
    log.info({ transactions, rows }, options.untilCaughtUp && !stop.signal.aborted ? 'caught up' : 'stopped');
    return exit.stopped;
  } catch (error) {
    log.fatal({ err: error }, error instanceof TidegateError ? error.message : 'failed');
    return exit.failed;
  } finally {
    listener.close();
    await monitor.close();
    await server?.close();
    stop.dispose();
  }
}

function stopOnSignal(log: Log) {
  const controller = new AbortController();
  const onSignal = (signal: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      log.warn({ signal }, 'aborted: the current batch is dropped and will be read again');
      process.exit(exit.failed);
    }
    log.info({ signal }, 'stopping: finishing the current batch');
    controller.abort(new TidegateError('internal', 'stopped'));
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return {
    signal: controller.signal,
    dispose: () => {
      process.off('SIGTERM', onSignal);
      process.off('SIGINT', onSignal);
    },
  };
}
