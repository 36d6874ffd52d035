import { hostname } from 'node:os';
import type { Config } from '../config/config.ts';
import { formatPosition } from '../change/position.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import type { Log } from '../ops/log.ts';
import { StatusWriter } from '../ops/status-writer.ts';
import { Throughput } from '../ops/throughput.ts';
import { isEqual } from '../target/jobs.ts';
import { type CheckOptions, runChecks } from '../pipeline/preflight.ts';
import { replicate } from '../pipeline/replicator.ts';

/** Exit codes of `run`: stopped cleanly; failed; refused by the guard. */
const exit = { stopped: 0, failed: 1, refused: 2 } as const;

const progressEveryMs = 10_000;
const ratesEveryMs = 60_000;
const deadLettersEveryMs = 5_000;

/**
 * Snapshots what is missing, then streams until stopped. The first SIGTERM or SIGINT finishes the batch under way, the second
 * ends the process at once, which costs nothing but that batch.
 */
export async function run(
  config: Config,
  log: Log,
  options: CheckOptions & { untilCaughtUp: boolean },
): Promise<number> {
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
    log.error('refused: mend the findings above, then run again');
    return exit.refused;
  }

  const status = new StatusWriter(config);
  const throughput = new Throughput();
  const rates = setInterval(() => {
    const { transactions, rows } = throughput.take();
    if (transactions > 0) log.info({ transactions, rows, seconds: ratesEveryMs / 1000 }, 'applied');
  }, ratesEveryMs);
  const deadLetters = new Map<string, number>();
  const sayDeadLetters = () => {
    for (const [table, rows] of deadLetters)
      log.warn({ table, rows, remedy: '`tidegate dead-letters list` tells why' }, 'rows became dead letters');
    deadLetters.clear();
  };
  const said = setInterval(sayDeadLetters, deadLettersEveryMs);
  const addDeadLetters = (table: string, rows: number) => {
    if (rows > 0) deadLetters.set(table, rows + (deadLetters.get(table) ?? 0));
  };
  let lastProgress = 0;
  try {
    await replicate(
      config,
      { until: options.untilCaughtUp ? 'caught-up' : 'stopped' },
      {
        state: (state) => {
          if (status.state === 'snapshotting' && state === 'catching-up') log.info('snapshot finished');
          status.state = state === 'standby' ? null : state;
          log.info({ state }, stateMessages[state]);
        },
        prepared: ({ checkpoint, copying, leftOut }) => {
          for (const { table, reasons } of leftOut) log.warn({ table, reasons }, 'table left out');
          log.info({ position: formatPosition(checkpoint), copying: copying.length }, 'prepared');
        },
        progress: (progress) => {
          addDeadLetters(progress.table, progress.rejected);
          if (Date.now() - lastProgress < progressEveryMs) return;
          lastProgress = Date.now();
          log.info(progress, 'copying');
        },
        copied: (table, rows) => log.info({ table, rows }, 'table copied'),
        pace: (pace) => log.info({ pace }, paceMessages[pace]),
        applied: (batch) => {
          throughput.add(batch.transactions, batch.rows);
          for (const [table, rows] of batch.rejected) addDeadLetters(table, rows);
        },
        parked: (table, reason) =>
          log.error(
            { table, reason, remedy: 'the other tables go on; this one needs to be copied anew' },
            'table parked',
          ),
        job: (job) => {
          const { id, table, kind, state, reason, counts } = job;
          const facts = { job: id, table, kind, ...(reason === null ? {} : { reason }) };
          if (state === 'failed') log.error(facts, 'job failed');
          else if (state === 'running') log.info(facts, 'job started');
          else if (kind === 'verify' && !isEqual(job))
            log.warn({ ...facts, ...counts, remedy: `tidegate verify --repair ${table} mends it` }, 'table not equal');
          else log.info({ ...facts, ...counts }, 'job finished');
        },
        retrying: (error, delayMs) => {
          status.state = 'retrying';
          log.warn({ err: error, delayMs }, 'retrying');
        },
      },
      stop.signal,
    );
    const { transactions, rows } = throughput.total;
    log.info({ transactions, rows }, options.untilCaughtUp && !stop.signal.aborted ? 'caught up' : 'stopped');
    return exit.stopped;
  } catch (error) {
    log.fatal({ err: error }, error instanceof TidegateError ? error.message : 'failed');
    return exit.failed;
  } finally {
    clearInterval(rates);
    clearInterval(said);
    sayDeadLetters();
    await status.close();
    stop.dispose();
  }
}

const paceMessages = {
  free: 'snapshot at full speed: nobody else writes at the source',
  considerate: 'snapshot slowed: somebody writes at the source',
  waiting: 'snapshot waits: the source is busy',
  closed: 'snapshot waits for SNAPSHOT_WINDOW',
} as const;

const stateMessages = {
  checking: 'checking',
  standby: 'standby',
  paused: 'paused: `tidegate resume` lets it go on',
  snapshotting: 'snapshot started',
  'catching-up': 'catching up',
  streaming: 'streaming',
} as const;

function stopOnSignal(log: Log) {
  const controller = new AbortController();
  const onSignal = (signal: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      log.warn({ signal }, 'aborted: the batch under way is dropped and will come again');
      process.exit(exit.failed);
    }
    log.info({ signal }, 'stopping: finishing the batch under way');
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
