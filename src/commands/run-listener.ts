import { formatPosition } from '../change/position.ts';
import { describeError } from '../errors/describe-error.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import type { Log } from '../monitoring/log.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import type { Monitor } from '../monitoring/monitor.ts';
import { type Progress, type ProgressBars, measureProgress } from '../monitoring/progress.ts';
import type { ReplicatorListener } from '../pipeline/listener.ts';
import { isEqual } from '../postgres/control/jobs.ts';

const linesEveryMs = 10_000;
const barsEveryMs = 200;
const ratesEveryMs = 60_000;
const deadLettersEveryMs = 5_000;

/** Where what `run` does is told. */
export interface Told {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly monitor: Monitor;
  /** On a terminal. */
  readonly bars: ProgressBars | null;
}

/** Tells what the replicator does: few lines to the log, everything to the metrics, the state to the monitor. */
export class RunListener implements ReplicatorListener {
  readonly #told: Told;
  readonly #timers: NodeJS.Timeout[];
  readonly #copying = new Map<string, Progress>();
  readonly #deadLetters = new Map<string, number>();
  #isSnapshotting = false;
  #taken = { transactions: 0, rows: 0 };

  constructor(told: Told) {
    this.#told = told;
    this.#timers = [
      setInterval(() => this.#sayRates(), ratesEveryMs),
      setInterval(() => this.#sayDeadLetters(), deadLettersEveryMs),
      told.bars === null
        ? setInterval(() => this.#sayProgress(), linesEveryMs)
        : setInterval(() => this.#showBars(), barsEveryMs),
    ];
  }

  /** Says what is left to say. */
  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#endSnapshot();
    this.#sayDeadLetters();
  }

  state: ReplicatorListener['state'] = (state) => {
    const { log, monitor } = this.#told;
    if (this.#isSnapshotting) this.#endSnapshot();
    if (this.#isSnapshotting && state === 'catching-up') log.info('snapshot finished');
    this.#isSnapshotting = state === 'snapshotting';
    monitor.enter(state, null, state === 'paused' ? 'tidegate resume' : null);
    log.info({ state }, stateMessages[state]);
  };

  prepared: ReplicatorListener['prepared'] = ({ checkpoint, copying, leftOut }) => {
    const { log, monitor } = this.#told;
    for (const { table, reasons } of leftOut) log.warn({ table, reasons }, 'table left out');
    log.info({ position: formatPosition(checkpoint), copying: copying.length }, 'prepared');
    const tables = copying.map(({ codec, copiedRows, estimatedRows }) => ({
      ...{ table: codec.schema.table, rows: copiedRows, estimatedRows },
    }));
    monitor.snapshot.begin(tables);
  };

  progress: ReplicatorListener['progress'] = ({ table, rows, chunkRows, rejected, estimatedRows }) => {
    const { metrics, monitor } = this.#told;
    const begun = this.#copying.get(table) ?? { startedAt: Date.now(), rowsBefore: rows };
    this.#copying.set(table, {
      ...{ table, rows, estimatedRows, ended: null },
      ...{ startedAt: begun.startedAt, rowsBefore: begun.rowsBefore },
    });
    monitor.snapshot.advance(table, rows);
    metrics.copiedRows.inc({ table }, chunkRows);
    this.#addDeadLetters(table, rejected);
  };

  copied: ReplicatorListener['copied'] = (table, rows) => {
    const { log, monitor } = this.#told;
    const progress = this.#copying.get(table);
    if (progress !== undefined) this.#copying.set(table, { ...progress, rows, ended: 'done' });
    monitor.snapshot.finish(table);
    log.info({ table, rows }, 'table copied');
  };

  pace: ReplicatorListener['pace'] = (pace) => {
    this.#told.metrics.pace(pace);
    this.#told.log.info({ pace }, paceMessages[pace]);
  };

  chunk: ReplicatorListener['chunk'] = (elapsedMs) => this.#told.metrics.chunkSeconds.observe(elapsedMs / 1000);

  applied: ReplicatorListener['applied'] = (applied) => {
    const { metrics, monitor } = this.#told;
    monitor.throughput.add(applied);
    monitor.wrote(applied.tables);
    metrics.appliedTransactions.inc(applied.transactions);
    metrics.appliedRows.inc(applied.rows);
    metrics.appliedBytes.inc(applied.bytes);
    for (const [table, rows] of applied.tables) metrics.tableAppliedRows.inc({ table }, rows);
    // A batch that brings nothing but a place takes no time worth counting.
    if (applied.tables.size > 0) {
      metrics.applySeconds.observe(applied.seconds);
      metrics.batchRows.observe(applied.rows);
      metrics.batchBytes.observe(applied.bytes);
    }
    for (const [table, rows] of applied.rejected) this.#addDeadLetters(table, rows);
  };

  read: ReplicatorListener['read'] = (bytes) => this.#told.metrics.binlogBytes.inc(bytes);

  stalled: ReplicatorListener['stalled'] = (reason) => this.#told.monitor.stalled(reason);

  suspended: ReplicatorListener['suspended'] = (table, reason) => {
    this.#copying.delete(table);
    this.#told.log.error(
      { table, reason, remedy: `the other tables go on; \`tidegate backfill ${table}\` takes this one back` },
      'table suspended',
    );
  };

  job: ReplicatorListener['job'] = (job) => {
    const { log, metrics } = this.#told;
    const { id, table, kind, state, reason, counts } = job;
    const facts = { job: id, table, kind, ...(reason === null ? {} : { reason }) };
    if (state === 'failed') metrics.failedJobs.inc({ kind });
    if (state === 'failed') log.error(facts, 'job failed');
    else if (state === 'running') log.info(facts, 'job started');
    else if (state === 'waiting') log.warn(facts, 'job waits, and is tried again');
    else if (kind === 'verify' && !isEqual(job))
      log.warn({ ...facts, ...counts, remedy: `tidegate verify --repair ${table} repairs it` }, 'table not equal');
    else log.info({ ...facts, ...counts }, 'job finished');
  };

  retrying: ReplicatorListener['retrying'] = (error, delayMs) => {
    const { log, metrics, monitor } = this.#told;
    const { kind, message, hint = null } = describeError(error);
    // Whoever has the lease now speaks for the replica.
    const isReplaced = error instanceof TidegateError && error.kind === 'lease-lost';
    if (isReplaced) monitor.enter('standby');
    else monitor.enter('retrying', message, hint);
    metrics.retries.inc({ kind });
    log.warn({ err: error, delayMs }, 'retrying');
  };

  #addDeadLetters(table: string, rows: number): void {
    if (rows > 0) this.#deadLetters.set(table, rows + (this.#deadLetters.get(table) ?? 0));
  }

  #sayDeadLetters(): void {
    for (const [table, rows] of this.#deadLetters)
      this.#told.log.warn(
        { table, rows, remedy: '`tidegate dead-letters list` tells why' },
        'rows became dead letters',
      );
    this.#deadLetters.clear();
  }

  #sayRates(): void {
    const { log, monitor } = this.#told;
    const { transactions, rows } = monitor.throughput.total;
    const since = { transactions: transactions - this.#taken.transactions, rows: rows - this.#taken.rows };
    this.#taken = { transactions, rows };
    const { secondsBehind = null } = monitor.document?.lag ?? {};
    // What other databases of the source write is passed, and no news.
    if (since.rows > 0) log.info({ ...since, seconds: ratesEveryMs / 1000, secondsBehind }, 'applied');
  }

  #sayProgress(): void {
    for (const progress of this.#copying.values())
      if (progress.ended === null) {
        const { table, rows, estimatedRows } = progress;
        this.#told.log.info({ table, rows, estimatedRows, ...measureProgress(progress) }, 'copying');
      }
  }

  #showBars(): void {
    const { bars, monitor } = this.#told;
    const { status } = monitor.snapshot;
    if (status !== null) bars?.show([...this.#copying.values()], status);
  }

  #endSnapshot(): void {
    this.#showBars();
    this.#told.bars?.close();
    this.#copying.clear();
  }
}

const paceMessages = {
  free: 'snapshot at full speed: nobody else writes at the source',
  considerate: 'snapshot slowed: somebody writes at the source',
  waiting: 'snapshot waits: the source is busy',
  lagging: 'snapshot waits: the source falls behind the server that it copies from',
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
