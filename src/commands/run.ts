import { hostname } from 'node:os';
import packageJson from '../../package.json' with { type: 'json' };
import type { Config } from '../config/config.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { serveStatus } from '../monitoring/http-server.ts';
import { type Log, createLog } from '../monitoring/log.ts';
import { Metrics } from '../monitoring/metrics.ts';
import { Monitor } from '../monitoring/monitor.ts';
import { ProgressBars } from '../monitoring/terminal-progress.ts';
import { stalls } from '../monitoring/stalls.ts';
import { type CheckOptions, runChecks } from '../pipeline/check/preflight.ts';
import type { Finding } from '../errors/finding.ts';
import { type ErrorKind, errorKinds } from '../errors/error-kinds.ts';
import { backoff, sleep } from '../lifetime/backoff.ts';
import { Scope } from '../lifetime/scope.ts';
import { drainMs, replicate } from '../pipeline/service.ts';
import { isRefusalKind } from '../pipeline/service-listener.ts';
import { RunListener } from './run-listener.ts';

/** Exit codes of `run`: stopped cleanly; failed; refused by the checks. */
const exit = { stopped: 0, failed: 1, refused: 2 } as const;

/**
 * Snapshots what is missing, then streams until stopped. The first SIGTERM or SIGINT finishes the batch that is being applied; what
 * takes longer than ten seconds is hung up on. The second signal ends the process at once and drops that batch, which then comes again.
 */
export async function run(config: Config, options: CheckOptions & { untilCaughtUp: boolean }): Promise<number> {
  const bars = process.stdout.isTTY ? new ProgressBars(process.stdout) : null;
  const log = createLog(config.logLevel, bars === null ? {} : { terminal: bars });
  await using scope = new Scope();
  const stop = stopOnSignal(log, scope);
  log.info(
    { target: config.target.schema, source: config.source.database, host: hostname(), pid: process.pid },
    'starting',
  );
  try {
    if (!(await areChecksPassed(scope, config, options, log)))
      return scope.signal.aborted ? exit.stopped : exit.refused;
    return await serve(scope, config, options, { log, bars });
  } finally {
    stop.dispose();
  }
}

/** Runs the checks until both servers can be asked. False: they found an error that a person must correct, or the service stops. */
async function areChecksPassed(
  scope: Scope,
  config: Config,
  { untilCaughtUp, ...options }: CheckOptions & { untilCaughtUp: boolean },
  log: Log,
): Promise<boolean> {
  for (let failures = 1; ; failures++) {
    const findings = await runChecks(scope, config, options);
    if (scope.signal.aborted) return false;
    const errors = findings.filter(({ level }) => level === 'error');
    for (const { level, message, ...facts } of findings) {
      if (level === 'error') log.error(facts, message);
      else if (level === 'warning') log.warn(facts, message);
    }
    // A service that waits for a resync shows that on its page. One that is to end says it now.
    const waits = !untilCaughtUp && errors.every(({ kind }) => isRefusalKind(kind));
    if (errors.length === 0 || waits) return true;
    // Another attempt may cure it. What else was found is only certain once the servers answer.
    if (!errors.every(isPassing)) {
      log.error('refused: repair the findings above, then run again');
      return false;
    }
    const delayMs = backoff(failures);
    log.warn({ delayMs }, 'the checks are repeated');
    await sleep(delayMs, scope.signal);
    if (scope.signal.aborted) return false;
  }
}

function isPassing({ kind }: Finding): boolean {
  return kind !== undefined && kind in errorKinds && errorKinds[kind as ErrorKind].action === 'retry';
}

async function serve(
  scope: Scope,
  config: Config,
  { untilCaughtUp, allowPrivilegedSource }: CheckOptions & { untilCaughtUp: boolean },
  { log, bars }: { log: Log; bars: ProgressBars | null },
): Promise<number> {
  const metrics = new Metrics(packageJson.version);
  const monitor = new Monitor(config, metrics, (reason) => {
    if (reason === null) log.info('moves again');
    else log.warn({ reason, remedy: stalls[reason] }, 'stalled');
  });
  const server = config.listen === null ? null : serveStatus(config.listen, { log, metrics, monitor });
  const listener = new RunListener({ log, metrics, monitor, bars });
  try {
    await replicate(scope, config, { until: untilCaughtUp ? 'caught-up' : 'stopped', allowPrivilegedSource }, listener);
    const { transactions, rows } = monitor.throughput.total;
    log.info({ transactions, rows }, untilCaughtUp && !scope.signal.aborted ? 'caught up' : 'stopped');
    return exit.stopped;
  } catch (error) {
    log.fatal({ err: error }, error instanceof TidegateError ? error.message : 'failed');
    return exit.failed;
  } finally {
    listener.close();
    await monitor.close();
    await server?.close();
  }
}

function stopOnSignal(log: Log, scope: Scope) {
  const onSignal = (signal: NodeJS.Signals) => {
    if (scope.signal.aborted) {
      log.warn({ signal }, 'aborted: the current batch is dropped and will be read again');
      process.exit(exit.failed);
    }
    log.info({ signal }, 'stopping: finishing the current batch');
    scope.drain(drainMs, new TidegateError('target-busy', 'stopped before the present work was complete'));
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return {
    dispose: () => {
      process.off('SIGTERM', onSignal);
      process.off('SIGINT', onSignal);
    },
  };
}
