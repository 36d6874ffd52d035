import { Counter, Gauge, Histogram, type LabelValues, Registry, collectDefaultMetrics } from '@prometheus-io/client';
import type { LagReport } from './lag-report.ts';
import { stalls } from './stalls.ts';
import type { TableStatus } from '../postgres/control/status.ts';

const prefix = 'tidegate_';
/** All states, so that a dashboard shows each of them. */
const states = [
  ...['checking', 'standby', 'snapshotting', 'catching-up', 'streaming', 'refused'],
  ...['retrying', 'paused', 'stalled', 'stopped', 'unknown'],
];
const paces = ['free', 'considerate', 'waiting', 'lagging', 'trickling', 'closed'];

/** One measurement, for the gauges. */
export interface Observed {
  readonly lag: LagReport;
  /** Null: not known. */
  readonly tables: readonly TableStatus[] | null;
  readonly holdsLease: boolean;
  readonly isReachable: { readonly source: boolean; readonly target: boolean };
}

/** The metrics of /metrics. docs/monitoring.md explains each. They contain names, counts and times only. */
export class Metrics {
  readonly #registry = new Registry();
  readonly appliedRows = this.#counter('applied_rows_total', 'Row changes applied to the target');
  readonly appliedTransactions = this.#counter('applied_transactions_total', 'Source transactions applied');
  readonly appliedBytes = this.#counter('applied_bytes_total', 'Bytes of changes applied, as held in memory');
  readonly binlogBytes = this.#counter('binlog_bytes_total', 'Bytes of binlog received from the source');
  readonly tableAppliedRows = this.#counter(
    'table_applied_rows_total',
    'Rows written or deleted by the stream',
    'table',
  );
  readonly copiedRows = this.#counter('copied_rows_total', 'Rows copied by the snapshot', 'table');
  readonly retries = this.#counter('retries_total', 'Failures that were followed by another attempt', 'kind');
  readonly stalls = this.#counter('stalls_total', 'How often replication stalled', 'reason');
  readonly failedJobs = this.#counter(
    'jobs_failed_total',
    'Backfills, verifications and refreshes that failed',
    'kind',
  );
  readonly applySeconds = this.#histogram(
    'apply_seconds',
    'How long PostgreSQL took for a batch',
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  );
  readonly batchRows = this.#histogram('batch_rows', 'Row changes in a batch', [1, 10, 100, 1e3, 1e4, 1e5, 1e6]);
  readonly batchBytes = this.#histogram('batch_bytes', 'Bytes held in a batch', [1e3, 1e4, 1e5, 1e6, 4e6, 1.6e7, 1e8]);
  readonly chunkSeconds = this.#histogram(
    'chunk_seconds',
    'How long the source was busy with a chunk',
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
  );
  readonly #throttle = this.#gauge('throttle', 'Pace of reading at the source: 1 for the current pace', 'pace');
  readonly #state = this.#gauge('state', 'State of the service: 1 for the current state', 'state');
  readonly #holdsLease = this.#gauge('leader', '1: this instance holds the lease');
  readonly #reachable = this.#gauge('reachable', '1: the database answers', 'side');
  /** By field of the report. A gauge without a known value is absent, because a zero would look healthy. */
  readonly #known: Readonly<Partial<Record<keyof LagReport, Gauge>>> = {
    secondsBehind: this.#gauge('lag_seconds', 'Seconds behind the source, by its clock'),
    bytesBehind: this.#gauge('lag_bytes', 'Bytes of binlog that are not applied yet'),
    transactionsBehind: this.#gauge('lag_transactions', 'Transactions that are not applied yet, by GTID'),
    secondsToCatchUp: this.#gauge('catch_up_seconds', 'Seconds until it has caught up, at the present speed'),
    headroomSeconds: this.#gauge('headroom_seconds', 'Seconds until the source may purge what is not applied yet'),
    retentionSeconds: this.#gauge('retention_seconds', 'Seconds that the source keeps a binlog file; 0: no limit'),
    clockSkewSeconds: this.#gauge('clock_skew_seconds', "The source's clock minus this machine's"),
  };
  readonly #tables = this.#gauge('tables', 'Tables by state', 'state');
  readonly #suspended = this.#gauge('table_suspended', '1: the table is suspended', 'table');
  readonly #leftOut = this.#gauge('left_out_tables', 'Tables that are not replicated now', 'state', 'reason');
  readonly #deadLetters = this.#gauge('dead_letters', 'Rows that cannot be replicated', 'table');
  readonly #conversions = this.#gauge(
    'conversions',
    'Values that were converted to fit the target',
    'table',
    'column',
    'kind',
  );
  readonly #equal = this.#gauge(
    'verification_equal',
    '1: the table was equal when it was last verified or backfilled',
    'table',
  );
  readonly #verifiedAt = this.#gauge('verification_timestamp_seconds', 'When the last verification ended', 'table');
  readonly #jobs = this.#gauge('jobs', 'Jobs that wait or run', 'kind', 'state');

  constructor(version: string) {
    collectDefaultMetrics({ register: this.#registry, prefix });
    this.#gauge('info', 'The version that runs', 'version').set({ version }, 1);
    // A counter that appears with its first event shows no increase. A gauge that was never set must not read as zero.
    for (const kind of ['backfill', 'verify', 'refresh']) this.failedJobs.inc({ kind }, 0);
    for (const reason of Object.keys(stalls)) this.stalls.inc({ reason }, 0);
    for (const gauge of Object.values(this.#known)) gauge.remove();
    this.pace('free');
    this.state('checking');
  }

  /** All metrics in the text format of Prometheus. */
  async text(): Promise<string> {
    return await this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The names of all metrics. */
  names(): string[] {
    return this.#registry.getMetricsAsArray().map(({ name }) => name);
  }

  pace(pace: string): void {
    for (const each of paces) this.#throttle.set({ pace: each }, each === pace ? 1 : 0);
  }

  state(state: string): void {
    for (const each of states) this.#state.set({ state: each }, each === state ? 1 : 0);
  }

  observe({ lag, tables, holdsLease, isReachable }: Observed): void {
    this.#holdsLease.set(holdsLease ? 1 : 0);
    for (const side of ['source', 'target'] as const) this.#reachable.set({ side }, isReachable[side] ? 1 : 0);
    for (const [name, gauge] of Object.entries(this.#known)) {
      const value = lag[name as keyof LagReport];
      if (typeof value === 'number') gauge.set(value);
      else gauge.remove();
    }
    // What is not known has no series: the last values could look healthy.
    fill(
      this.#tables,
      counted(tables ?? [], ({ state }) => ({ state })),
    );
    fill(
      this.#suspended,
      (lag.suspendedTables ?? []).map(({ table }) => [{ table }, 1]),
    );
    fill(
      this.#leftOut,
      (lag.leftOutTables ?? []).map(({ state, reason, tables }) => [{ state, reason }, tables.length]),
    );
    fill(this.#deadLetters, summed((lag.deadLetters ?? []).map(({ table, rows }) => [{ table }, rows])));
    fill(
      this.#conversions,
      (lag.conversions ?? []).map(({ count, ...labels }) => [labels, count]),
    );
    const verifications = lag.verifications ?? [];
    fill(
      this.#equal,
      verifications.map(({ table, isEqual }) => [{ table }, isEqual ? 1 : 0]),
    );
    fill(
      this.#verifiedAt,
      verifications.map(({ table, at }) => [{ table }, (at?.getTime() ?? 0) / 1000]),
    );
    fill(
      this.#jobs,
      counted(lag.jobs ?? [], ({ kind, state }) => ({ kind, state })),
    );
  }

  #counter<L extends string>(name: string, help: string, ...labelNames: L[]): Counter<L> {
    return new Counter({ name: prefix + name, help, labelNames, registers: [this.#registry] });
  }

  #gauge<L extends string>(name: string, help: string, ...labelNames: L[]): Gauge<L> {
    return new Gauge({ name: prefix + name, help, labelNames, registers: [this.#registry] });
  }

  #histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name: prefix + name, help, buckets, registers: [this.#registry] });
  }
}

type Sample<L extends string> = readonly [labels: LabelValues<L>, value: number];

/** Sets the samples and drops all others. */
function fill<L extends string>(gauge: Gauge<L>, samples: readonly Sample<L>[]): void {
  gauge.reset();
  for (const [labels, value] of samples) gauge.set(labels, value);
}

function counted<T, L extends string>(things: readonly T[], labelsOf: (thing: T) => LabelValues<L>): Sample<L>[] {
  return summed(things.map((thing) => [labelsOf(thing), 1]));
}

/** Adds up the samples with the same labels. */
function summed<L extends string>(samples: readonly Sample<L>[]): Sample<L>[] {
  const sums = new Map<string, Sample<L>>();
  for (const [labels, value] of samples) {
    const name = JSON.stringify(labels);
    sums.set(name, [labels, value + (sums.get(name)?.[1] ?? 0)]);
  }
  return [...sums.values()];
}
