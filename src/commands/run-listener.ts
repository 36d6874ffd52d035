import { formatPosition } from '../change/position.ts';
import { describeError } from '../errors/describe-error.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { omittedBySession } from '../mapping/table-codec.ts';
import type { Log } from '../monitoring/log.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import type { Monitor } from '../monitoring/monitor.ts';
import { type Progress, type ProgressBars, measureProgress } from '../monitoring/terminal-progress.ts';
import type { ServiceListener } from '../pipeline/service-listener.ts';
import { isEqual } from '../postgres/control/jobs.ts';

const linesEveryMs = 10_000;
const barsEveryMs = 200;
const ratesEveryMs = 60_000;
const deadLettersEveryMs = 5_000;

/** Where `run` reports. */
export interface Outputs {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly monitor: Monitor;
  /** Null: stdout is no terminal. */
  readonly bars: ProgressBars | null;
}

/** Reports what the replicator does: few lines to the log, everything to the metrics, the state to the monitor. */
export class RunListener implements ServiceListener {
  readonly #outputs: Outputs;
  readonly #timers: NodeJS.Timeout[];
  readonly #copying = new Map<string, Progress>();
  readonly #deadLetters = new Map<string, number>();
  #isSnapshotting = false;
  #reported = { transactions: 0, rows: 0 };

  constructor(outputs: Outputs) {
    this.#outputs = outputs;
    this.#timers = [
      setInterval(() => this.#logRates(), ratesEveryMs),
      setInterval(() => this.#logDeadLetters(), deadLettersEveryMs),
      outputs.bars === null
        ? setInterval(() => this.#logProgress(), linesEveryMs)
        : setInterval(() => this.#showBars(), barsEveryMs),
    ];
  }

  /** Reports what is not reported yet. */
  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#endSnapshot();
    this.#logDeadLetters();
  }

  state: ServiceListener['state'] = (state) => {
    const { log, monitor } = this.#outputs;
    if (this.#isSnapshotting) this.#endSnapshot();
    if (this.#isSnapshotting && state === 'catching-up') log.info('snapshot finished');
    this.#isSnapshotting = state === 'snapshotting';
    monitor.enter(state, null, state === 'paused' ? 'tidegate resume' : null);
    log.info({ state }, stateMessages[state]);
  };

  prepared: ServiceListener['prepared'] = ({ checkpoint, copying, leftOut, planned, added, gone }) => {
    const { log, monitor } = this.#outputs;
    // The tables of the first copy have lines of their own.
    if (copying.length === 0 && added.length > 0) log.info({ tables: added }, 'tables added');
    for (const table of gone)
      log.warn(
        { table, remedy: 'it stays at the target; if the source has it again, it is read again' },
        'table gone: the source dropped it',
      );
    for (const { table, reasons } of leftOut) log.warn({ table, reasons }, 'table left out');
    for (const { codec } of planned)
      for (const { name, reason } of omittedBySession(codec.source))
        log.warn({ table: codec.schema.table, column: name, reason }, 'column left out');
    log.info({ position: formatPosition(checkpoint), copying: copying.length }, 'prepared');
    const tables = copying.map(({ codec, copiedRows, estimatedRows }) => ({
      ...{ table: codec.schema.table, rows: copiedRows, estimatedRows },
    }));
    monitor.snapshot.begin(tables);
  };

  progress: ServiceListener['progress'] = ({ table, rows, chunkRows, rejected, estimatedRows }) => {
    const { metrics, monitor } = this.#outputs;
    const first = this.#copying.get(table) ?? { startedAt: Date.now(), rowsBefore: rows };
    this.#copying.set(table, {
      ...{ table, rows, estimatedRows, ended: null },
      ...{ startedAt: first.startedAt, rowsBefore: first.rowsBefore },
    });
    monitor.snapshot.advance(table, rows);
    metrics.copiedRows.inc({ table }, chunkRows);
    this.#addDeadLetters(table, rejected);
  };

  copied: ServiceListener['copied'] = (table, rows) => {
    const { log, monitor } = this.#outputs;
    const progress = this.#copying.get(table);
    if (progress !== undefined) this.#copying.set(table, { ...progress, rows, ended: 'done' });
    monitor.snapshot.finish(table);
    log.info({ table, rows }, 'table copied');
  };

  pace: ServiceListener['pace'] = (pace) => {
    this.#outputs.metrics.pace(pace);
    this.#outputs.monitor.slowed(pace === 'trickling');
    this.#outputs.log.info({ pace }, paceMessages[pace]);
  };

  chunk: ServiceListener['chunk'] = (elapsedMs) => this.#outputs.metrics.chunkSeconds.observe(elapsedMs / 1000);

  applied: ServiceListener['applied'] = (applied) => {
    const { metrics, monitor } = this.#outputs;
    monitor.throughput.add(applied);
    monitor.wrote(applied.tables);
    metrics.appliedTransactions.inc(applied.transactions);
    metrics.appliedRows.inc(applied.rows);
    metrics.appliedBytes.inc(applied.bytes);
    for (const [table, rows] of applied.tables) metrics.tableAppliedRows.inc({ table }, rows);
    // A batch without rows only advances the position; it would distort the histograms.
    if (applied.tables.size > 0) {
      metrics.applySeconds.observe(applied.seconds);
      metrics.batchRows.observe(applied.rows);
      metrics.batchBytes.observe(applied.bytes);
    }
    for (const [table, rows] of applied.rejected) this.#addDeadLetters(table, rows);
  };

  read: ServiceListener['read'] = (bytes) => this.#outputs.metrics.binlogBytes.inc(bytes);

  stalled: ServiceListener['stalled'] = (reason) => this.#outputs.monitor.stalled(reason);

  suspended: ServiceListener['suspended'] = (table, reason) => {
    this.#copying.delete(table);
    this.#outputs.log.error(
      { table, reason, remedy: `the other tables continue; \`tidegate lag\` shows when it returns` },
      'table suspended',
    );
  };

  job: ServiceListener['job'] = (job) => {
    const { log, metrics } = this.#outputs;
    const { id, table, kind, state, reason, counts } = job;
    const facts = { job: id, table, kind, ...(reason === null ? {} : { reason }) };
    if (state === 'failed') metrics.failedJobs.inc({ kind });
    if (state === 'failed') log.error(facts, 'job failed');
    else if (state === 'running') log.info(facts, 'job started');
    else if (state === 'waiting') log.warn(facts, 'job waits for another attempt');
    else if (kind === 'verify' && !isEqual(job))
      log.warn({ ...facts, ...counts, remedy: `\`tidegate verify --repair ${table}\` repairs it` }, 'table not equal');
    else log.info({ ...facts, ...counts }, 'job finished');
  };

  refused: ServiceListener['refused'] = (error) => {
    const { log, monitor } = this.#outputs;
    const { message, hint = null } = describeError(error);
    monitor.enter('refused', message, hint);
    log.error({ err: error, remedy: hint }, 'refused');
  };

  retrying: ServiceListener['retrying'] = (error, delayMs) => {
    const { log, metrics, monitor } = this.#outputs;
    const { kind, message, hint = null } = describeError(error);
    // The new lease holder reports the state of the replica now.
    const isReplaced = error instanceof TidegateError && error.kind === 'lease-lost';
    if (isReplaced) monitor.enter('standby');
    else monitor.enter('retrying', message, hint);
    metrics.retries.inc({ kind });
    log.warn({ err: error, delayMs }, 'retrying');
  };

  #addDeadLetters(table: string, rows: number): void {
    if (rows > 0) this.#deadLetters.set(table, rows + (this.#deadLetters.get(table) ?? 0));
  }

  #logDeadLetters(): void {
    for (const [table, rows] of this.#deadLetters)
      this.#outputs.log.warn(
        { table, rows, remedy: '`tidegate dead-letters list` shows why' },
        'rows became dead letters',
      );
    this.#deadLetters.clear();
  }

  #logRates(): void {
    const { log, monitor } = this.#outputs;
    const { transactions, rows } = monitor.throughput.total;
    const fresh = { transactions: transactions - this.#reported.transactions, rows: rows - this.#reported.rows };
    this.#reported = { transactions, rows };
    const { secondsBehind = null } = monitor.document?.lag ?? {};
    // Transactions of other databases at the source carry no rows, and are not worth a line.
    if (fresh.rows > 0) log.info({ ...fresh, seconds: ratesEveryMs / 1000, secondsBehind }, 'applied');
  }

  #logProgress(): void {
    for (const progress of this.#copying.values())
      if (progress.ended === null) {
        const { table, rows, estimatedRows } = progress;
        this.#outputs.log.info({ table, rows, estimatedRows, ...measureProgress(progress) }, 'copying');
      }
  }

  #showBars(): void {
    const { bars, monitor } = this.#outputs;
    const { status } = monitor.snapshot;
    if (status !== null) bars?.show([...this.#copying.values()], status);
  }

  #endSnapshot(): void {
    this.#showBars();
    this.#outputs.bars?.close();
    this.#copying.clear();
  }
}

const paceMessages = {
  free: 'snapshot at full speed: no other session writes at the source',
  considerate: 'snapshot slowed: other sessions write at the source',
  waiting: 'snapshot waits: the source is busy',
  lagging: 'snapshot waits: the source is a replica and falls behind',
  trickling: 'snapshot reads one small chunk a minute: the source has been busy for ten minutes',
  closed: 'snapshot waits for SNAPSHOT_WINDOW',
} as const;

const stateMessages = {
  checking: 'checking',
  standby: 'standby',
  paused: 'paused: `tidegate resume` continues',
  snapshotting: 'snapshot started',
  'catching-up': 'catching up',
  streaming: 'streaming',
} as const;
