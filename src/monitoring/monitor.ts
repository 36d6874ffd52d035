import { hostname } from 'node:os';
import packageJson from '../../package.json' with { type: 'json' };
import type { Config } from '../config/config.ts';
import { sleep } from '../lifetime/backoff.ts';
import type { RecordedEvent } from '../postgres/control/events.ts';
import { type Headline, headlineOf } from './headline.ts';
import { LagMeter, type Measured } from './lag-meter.ts';
import type { LagReport } from './lag-report.ts';
import type { Metrics } from './metrics.ts';
import { SnapshotProgress } from './snapshot-progress.ts';
import { type Stall, slow, stalls } from './stalls.ts';
import { WritingSession } from '../postgres/session.ts';
import { statusSessionName } from '../postgres/control/presence.ts';
import { type StatusDetail, type TableStatus, writeStatus } from '../postgres/control/status.ts';
import { Throughput } from './throughput.ts';

const everyMs = 1_000;
/** How long a server may take to answer once the program ends. */
const goodbyeMs = 1_000;
/** The lease holder writes its status each second, so silence for this long means that it hangs. */
const silentHolderSeconds = 30;
/** The time to catch up is estimated from this much history. */
const trendMs = 30_000;
/** One point of history every five seconds, for six hours. */
const pointEveryMs = 5_000;
const pointsKept = 4_320;

/** What /status.json holds. Fields are only ever added. */
export interface StatusDocument {
  readonly version: string;
  readonly at: string;
  readonly instance: {
    readonly host: string;
    readonly pid: number;
    readonly startedAt: string;
    readonly role: 'leader' | 'standby';
  };
  /** Names of the source's database and of the schema at the target. */
  readonly source: string;
  readonly target: string;
  readonly from: { readonly host: string; readonly port: number; readonly database: string };
  readonly to: { readonly host: string; readonly port: number; readonly database: string };
  readonly headline: Headline;
  readonly lag: LagReport;
  readonly rates: {
    readonly rowsPerSecond: number;
    readonly transactionsPerSecond: number;
    readonly bytesPerSecond: number;
  };
  /** Null: not known, as `lag.problems` says; likewise the events. */
  readonly tables: readonly TableLine[] | null;
  readonly events:
    | readonly {
        readonly id: string;
        readonly at: Date;
        readonly kind: string;
        readonly detail: string;
      }[]
    | null;
}

interface TableLine {
  readonly table: string;
  readonly state: string;
  readonly reason: string | null;
  /** Rows copied by the snapshot, and the source's estimate of all. */
  readonly rows: number;
  readonly estimatedRows: number | null;
  /** Rows that the stream has written or deleted since this process started. */
  readonly applied: number;
  readonly deadLetters: number;
}

/** Number, time in milliseconds since 1970, seconds behind, rows per second, bytes behind. */
type Point = readonly [number, number, number | null, number, number | null];

/**
 * Measures the lag each second and publishes it: in the control schema for `lag`, in /status.json, and in /metrics. The replicator
 * reports its work here. Only the lease holder writes to the control schema.
 */
export class Monitor {
  readonly throughput = new Throughput();
  readonly snapshot = new SnapshotProgress();
  readonly #config: Config;
  readonly #metrics: Metrics;
  readonly #onStall: (reason: Stall | null) => void;
  readonly #meter: LagMeter<WritingSession>;
  readonly #startedAt = new Date();
  readonly #ended = new AbortController();
  readonly #watching: Promise<void>;
  #state = 'checking';
  /** This instance holds the lease. */
  #holdsLease = false;
  /** Why it is retrying. */
  #reason: string | null = null;
  #remedy: string | null = null;
  #isSlowed = false;
  #stall: Stall | null = null;
  readonly #applied = new Map<string, number>();
  #trend: { readonly at: number; readonly bytes: number }[] = [];
  #points: Point[] = [];
  #nextPoint = 1;
  #lastPointAt = Number.NEGATIVE_INFINITY;
  #document: StatusDocument | null = null;
  #wake = Promise.withResolvers<void>();
  readonly #firstMeasurement = Promise.withResolvers<void>();

  /** `onStall` is called with a reason when replication stalls, and with null when it moves again. */
  constructor(config: Config, metrics: Metrics, onStall: (reason: Stall | null) => void) {
    this.#config = config;
    this.#metrics = metrics;
    this.#onStall = onStall;
    this.#meter = new LagMeter(
      config,
      async (scope) => await WritingSession.open(scope, config.target, statusSessionName(config.target.schema)),
      true,
    );
    this.#watching = this.#watch();
  }

  /** The current state of the service. */
  get state(): string {
    return this.#stall === null ? this.#state : 'stalled';
  }

  /** `reason`: the failure, in state retrying. */
  enter(state: string, reason: string | null = null, remedy: string | null = null): void {
    this.#state = state;
    this.#reason = reason;
    this.#remedy = remedy;
    this.#stall = null;
    this.#isSlowed = false;
    this.#holdsLease = state !== 'standby' && (this.#holdsLease || state !== 'retrying');
    if (state !== 'snapshotting' && state !== 'retrying') this.snapshot.begin([]);
    this.#meter.forgetFindings();
    this.#changed();
  }

  /** Reading at the source is nearly at a standstill, because the source has been busy for long. */
  slowed(isSlowed: boolean): void {
    this.#isSlowed = isSlowed;
    this.#changed();
  }

  stalled(reason: Stall | null): void {
    if (reason === this.#stall) return;
    this.#stall = reason;
    if (reason !== null) this.#metrics.stalls.inc({ reason });
    this.#onStall(reason);
    this.#changed();
  }

  /** Adds rows that the stream has written or deleted, by table. */
  wrote(tables: ReadonlyMap<string, number>): void {
    for (const [table, rows] of tables) this.#applied.set(table, rows + (this.#applied.get(table) ?? 0));
  }

  /** Resolves after the first measurement, or when the monitor closes. */
  async measured(): Promise<void> {
    await this.#firstMeasurement.promise;
  }

  /** The last measurement with the current state; null: there was none yet. */
  get document(): StatusDocument | null {
    if (this.#document === null) return null;
    const lag = { ...this.#document.lag, ...this.#stateNow };
    return { ...this.#document, headline: headlineOf(lag), lag };
  }

  /** The points of history with a higher number. */
  pointsAfter(number: number): readonly Point[] {
    return this.#points.filter(([each]) => each > number);
  }

  /** Stops measuring. The lease holder records that the service stopped. */
  async close(): Promise<void> {
    const holdsLease = this.#holdsLease;
    this.#state = 'stopped';
    this.#stall = null;
    this.#ended.abort();
    this.#wake.resolve();
    this.#firstMeasurement.resolve();
    // A server that does not answer must not keep the program from ending.
    const giveUp = setTimeout(() => this.#meter.hangUp(), goodbyeMs);
    await this.#watching;
    clearTimeout(giveUp);
    if (holdsLease) await this.#write(goodbyeMs).catch(() => undefined);
    await this.#meter.close();
  }

  get #stateNow(): Pick<LagReport, 'state' | 'reason' | 'remedy'> {
    if (this.#stall !== null) return { state: this.state, reason: this.#stall, remedy: stalls[this.#stall] };
    if (this.#isSlowed && this.#reason === null && this.#isReading) return { state: this.state, ...slow };
    return { state: this.state, reason: this.#reason, remedy: this.#remedy };
  }

  get #isReading(): boolean {
    return (
      this.#state === 'snapshotting' || this.#document?.lag.jobs?.some(({ state }) => state === 'running') === true
    );
  }

  /** Publishes the new state at once, without waiting for a server that may not answer. */
  #changed(): void {
    this.#metrics.state(this.state);
    this.#wake.resolve();
  }

  async #watch(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      this.#wake = Promise.withResolvers();
      const startedAt = performance.now();
      if (this.#holdsLease) await this.#write().catch(() => undefined);
      this.#take(await this.#meter.measure());
      const rest = Math.max(0, startedAt + everyMs - performance.now());
      await Promise.race([sleep(rest, this.#ended.signal), this.#wake.promise]);
    }
  }

  async #write(patience?: number): Promise<void> {
    const { heads, identity } = this.#meter;
    const detail: StatusDetail = {
      reason: this.#stateNow.reason,
      remedy: this.#stateNow.remedy,
      rowsPerSecond: this.#document?.rates.rowsPerSecond ?? 0,
      secondsToCatchUp: this.#document?.lag.secondsToCatchUp ?? null,
      snapshot: this.snapshot.status,
      ...{ identity, heads },
    };
    // A target that cannot be written keeps an old row. Those who need the target report the error. The session stays: it shows `lag` that
    // this instance is connected.
    const write = async (session: WritingSession) => {
      await writeStatus(session, this.state, detail).catch(() => undefined);
    };
    await this.#meter.atTarget(write, patience);
  }

  #take(measured: Measured): void {
    const { status, findings, isReachable } = measured;
    const silence = status?.service?.ageSeconds ?? 0;
    // Before this instance has tried to take the lease, silence may mean that no instance was running.
    if (!this.#holdsLease)
      this.stalled(this.#state === 'standby' && silence > silentHolderSeconds ? 'no-leader' : null);
    const rate = this.throughput.rate();
    const lag: LagReport = {
      ...measured.report,
      ...this.#stateNow,
      rowsPerSecond: this.#holdsLease ? rate.rows : measured.report.rowsPerSecond,
      secondsToCatchUp: this.#holdsLease ? this.#secondsToCatchUp(measured.report) : measured.report.secondsToCatchUp,
      snapshot: this.#holdsLease ? this.snapshot.status : measured.report.snapshot,
    };
    this.#document = {
      version: packageJson.version,
      at: measured.at.toISOString(),
      instance: {
        ...{ host: hostname(), pid: process.pid, startedAt: this.#startedAt.toISOString() },
        role: this.#holdsLease ? 'leader' : 'standby',
      },
      source: this.#config.source.database,
      target: this.#config.target.schema,
      from: addressOf(this.#config.source),
      to: addressOf(this.#config.target),
      headline: headlineOf(lag),
      lag,
      rates: { rowsPerSecond: rate.rows, transactionsPerSecond: rate.transactions, bytesPerSecond: rate.bytes },
      tables: findings && this.#tableLines(findings.tables, lag),
      events:
        findings && findings.events.map(({ id, at, kind, detail }) => ({ id, at, kind, detail: inShort(detail) })),
    };
    this.#metrics.observe({ lag, tables: findings && findings.tables, holdsLease: this.#holdsLease, isReachable });
    this.#addPoint(lag, rate.rows);
    this.#firstMeasurement.resolve();
  }

  #tableLines(tables: readonly TableStatus[], { deadLetters }: LagReport): TableLine[] {
    const counts = new Map<string, number>();
    for (const { table, rows } of deadLetters ?? []) counts.set(table, rows + (counts.get(table) ?? 0));
    return tables.map(({ table, state, reason, copiedRows }) => ({
      ...{ table, state, reason, rows: copiedRows, estimatedRows: this.snapshot.estimateOf(table) },
      applied: this.#applied.get(table) ?? 0,
      deadLetters: counts.get(table) ?? 0,
    }));
  }

  /** From how fast the bytes behind shrank lately. Null: not known, not shrinking, or during the first copy, which has its own progress. */
  #secondsToCatchUp({ bytesBehind, secondsBehind }: LagReport): number | null {
    const now = performance.now();
    const bytes = secondsBehind === null ? null : bytesBehind;
    if (bytes === null) this.#trend = [];
    else this.#trend.push({ at: now, bytes });
    this.#trend = this.#trend.filter(({ at }) => now - at <= trendMs);
    const [first] = this.#trend;
    if (bytes === null || first === undefined) return null;
    if (bytes === 0) return 0;
    const perSecond = ((first.bytes - bytes) / (now - first.at)) * 1000;
    return perSecond > 0 ? Math.round(bytes / perSecond) : null;
  }

  #addPoint({ secondsBehind, bytesBehind }: LagReport, rowsPerSecond: number): void {
    if (performance.now() - this.#lastPointAt < pointEveryMs) return;
    this.#lastPointAt = performance.now();
    this.#points.push([this.#nextPoint++, Date.now(), secondsBehind, rowsPerSecond, bytesBehind]);
    if (this.#points.length > pointsKept) this.#points.shift();
  }
}

function addressOf({ host, port, database }: StatusDocument['from']): StatusDocument['from'] {
  return { host, port, database };
}

/** The detail of an event in one line: names, reasons and counts. */
function inShort(detail: RecordedEvent['detail']): string {
  return ['table', 'tables', 'kind', 'reason', 'why', 'until', 'at', 'by']
    .flatMap((name) => {
      const value = detail[name];
      if (Array.isArray(value)) return [`${value.length} ${name}`];
      return typeof value === 'string' || typeof value === 'number' ? [String(value)] : [];
    })
    .join(' · ');
}
