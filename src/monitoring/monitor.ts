import { hostname } from 'node:os';
import packageJson from '../../package.json' with { type: 'json' };
import type { Config } from '../config/config.ts';
import { sleep } from '../lifetime/backoff.ts';
import type { RecordedEvent } from '../postgres/control/events.ts';
import { LagMeter, type Measured } from './lag-meter.ts';
import type { LagReport } from './lag-report.ts';
import type { Metrics } from './metrics.ts';
import { SnapshotProgress } from './snapshot-progress.ts';
import { type Stall, stalls } from './stalls.ts';
import { type StatusDetail, type TableStatus, writeStatus } from '../postgres/control/status.ts';
import { Throughput } from './throughput.ts';

const everyMs = 1_000;
/** A leader whose process lives says something each second. */
const noLeaderSeconds = 30;
/** Over so long the time to catch up is estimated. */
const trendMs = 30_000;
/** One point of history each five seconds, for six hours. */
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
  readonly lag: LagReport;
  readonly rates: {
    readonly rowsPerSecond: number;
    readonly transactionsPerSecond: number;
    readonly bytesPerSecond: number;
  };
  readonly tables: readonly TableLine[];
  readonly events: readonly {
    readonly id: string;
    readonly at: Date;
    readonly kind: string;
    readonly detail: string;
  }[];
}

interface TableLine {
  readonly table: string;
  readonly state: string;
  readonly reason: string | null;
  /** Copied by the snapshot, of about so many. */
  readonly rows: number;
  readonly estimatedRows: number | null;
  /** Rows the stream has written or deleted since this process began. */
  readonly applied: number;
  readonly deadLetters: number;
}

/** Number, time in milliseconds since 1970, seconds behind, rows per second, bytes behind. */
type Point = readonly [number, number, number | null, number, number | null];

/**
 * Looks each second how far the target is behind, and tells it: to the control schema, for `lag`; to /status.json and /metrics.
 * What the replicator does is told to it. A standby leaves the control schema to the instance that works.
 */
export class Monitor {
  readonly throughput = new Throughput();
  readonly snapshot = new SnapshotProgress();
  readonly #config: Config;
  readonly #metrics: Metrics;
  readonly #onStall: (reason: Stall | null) => void;
  readonly #meter: LagMeter;
  readonly #startedAt = new Date();
  readonly #ended = new AbortController();
  readonly #watching: Promise<void>;
  #state = 'checking';
  /** It has the lease. */
  #isLeader = false;
  /** Why it is retrying. */
  #reason: string | null = null;
  #remedy: string | null = null;
  #stall: Stall | null = null;
  readonly #applied = new Map<string, number>();
  #trend: { readonly at: number; readonly bytes: number }[] = [];
  #points: Point[] = [];
  #nextPoint = 1;
  #lastPointAt = Number.NEGATIVE_INFINITY;
  #document: StatusDocument | null = null;
  #wake = Promise.withResolvers<void>();
  readonly #looked = Promise.withResolvers<void>();

  /** `onStall` is told when nothing moves any more, and with null when it does again. */
  constructor(config: Config, metrics: Metrics, onStall: (reason: Stall | null) => void) {
    this.#config = config;
    this.#metrics = metrics;
    this.#onStall = onStall;
    this.#meter = new LagMeter(config, 'tidegate status');
    this.#watching = this.#watch();
  }

  /** What the service does now. */
  get state(): string {
    return this.#stall === null ? this.#state : 'stalled';
  }

  /** `reason`: of a failure, after which it is tried again. */
  enter(state: string, reason: string | null = null, remedy: string | null = null): void {
    this.#state = state;
    this.#reason = reason;
    this.#remedy = remedy;
    this.#stall = null;
    this.#isLeader = state !== 'standby' && (this.#isLeader || state !== 'retrying');
    if (state !== 'snapshotting' && state !== 'retrying') this.snapshot.begin([]);
    this.#meter.forgetFindings();
    this.#changed();
  }

  stalled(reason: Stall | null): void {
    if (reason === this.#stall) return;
    this.#stall = reason;
    if (reason !== null) this.#metrics.stalls.inc({ reason });
    this.#onStall(reason);
    this.#changed();
  }

  /** The stream has written or deleted so many rows of these tables. */
  wrote(tables: ReadonlyMap<string, number>): void {
    for (const [table, rows] of tables) this.#applied.set(table, rows + (this.#applied.get(table) ?? 0));
  }

  /** Resolves when there was a first look, or there will be none any more. */
  async looked(): Promise<void> {
    await this.#looked.promise;
  }

  /** The last look, and what the service does now; null: there was no look yet. */
  get document(): StatusDocument | null {
    return this.#document && { ...this.#document, lag: { ...this.#document.lag, ...this.#stateNow } };
  }

  /** Points of history that came after this one. */
  pointsAfter(number: number): readonly Point[] {
    return this.#points.filter(([each]) => each > number);
  }

  /** Says that the service stopped, unless it was a standby, and ends. */
  async close(): Promise<void> {
    const isLeader = this.#isLeader;
    this.#state = 'stopped';
    this.#stall = null;
    this.#ended.abort();
    this.#wake.resolve();
    this.#looked.resolve();
    await this.#watching;
    if (isLeader) await this.#write().catch(() => undefined);
    await this.#meter.close();
  }

  get #stateNow(): Pick<LagReport, 'state' | 'reason' | 'remedy'> {
    if (this.#stall !== null) return { state: this.state, reason: this.#stall, remedy: stalls[this.#stall] };
    return { state: this.state, reason: this.#reason, remedy: this.#remedy };
  }

  /** Told at once, and not when a server that may not answer has been asked. */
  #changed(): void {
    this.#metrics.state(this.state);
    this.#wake.resolve();
  }

  async #watch(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      this.#wake = Promise.withResolvers();
      const begun = performance.now();
      // An unreachable target just has an old row, which tells the same; it is reported by those who need it.
      if (this.#isLeader) await this.#write().catch(() => undefined);
      this.#take(await this.#meter.measure());
      const rest = Math.max(0, begun + everyMs - performance.now());
      await Promise.race([sleep(rest, this.#ended.signal), this.#wake.promise]);
    }
  }

  async #write(): Promise<void> {
    const { heads, identity } = this.#meter;
    const detail: StatusDetail = {
      reason: this.#stateNow.reason,
      remedy: this.#stateNow.remedy,
      rowsPerSecond: this.#document?.rates.rowsPerSecond ?? 0,
      secondsToCatchUp: this.#document?.lag.secondsToCatchUp ?? null,
      snapshot: this.snapshot.status,
      ...{ identity, heads },
    };
    await this.#meter.atTarget(async (db) => await writeStatus(db, this.state, detail));
  }

  #take(measured: Measured): void {
    const { status, findings, isReachable } = measured;
    const silence = status?.service?.ageSeconds ?? 0;
    // Before it has tried for the lease, silence may just mean that nobody ran.
    if (!this.#isLeader) this.stalled(this.#state === 'standby' && silence > noLeaderSeconds ? 'no-leader' : null);
    const rate = this.throughput.rate();
    const lag: LagReport = {
      ...measured.report,
      ...this.#stateNow,
      rowsPerSecond: this.#isLeader ? rate.rows : measured.report.rowsPerSecond,
      secondsToCatchUp: this.#isLeader ? this.#secondsToCatchUp(measured.report) : measured.report.secondsToCatchUp,
      snapshot: this.#isLeader ? this.snapshot.status : measured.report.snapshot,
    };
    this.#document = {
      version: packageJson.version,
      at: measured.at.toISOString(),
      instance: {
        ...{ host: hostname(), pid: process.pid, startedAt: this.#startedAt.toISOString() },
        role: this.#isLeader ? 'leader' : 'standby',
      },
      source: this.#config.source.database,
      target: this.#config.target.schema,
      lag,
      rates: { rowsPerSecond: rate.rows, transactionsPerSecond: rate.transactions, bytesPerSecond: rate.bytes },
      tables: this.#tableLines(findings.tables, lag),
      events: findings.events.map(({ id, at, kind, detail }) => ({ id, at, kind, detail: inShort(detail) })),
    };
    this.#metrics.observe({ lag, tables: findings.tables, isLeader: this.#isLeader, isReachable });
    this.#addPoint(lag, rate.rows);
    this.#looked.resolve();
  }

  #tableLines(tables: readonly TableStatus[], { deadLetters }: LagReport): TableLine[] {
    const letters = new Map<string, number>();
    for (const { table, rows } of deadLetters) letters.set(table, rows + (letters.get(table) ?? 0));
    return tables.map(({ table, state, reason, copiedRows }) => ({
      ...{ table, state, reason, rows: copiedRows, estimatedRows: this.snapshot.estimateOf(table) },
      applied: this.#applied.get(table) ?? 0,
      deadLetters: letters.get(table) ?? 0,
    }));
  }

  /** As fast as the bytes behind have become fewer lately; null: not known, or they have not. A first copy has its own measure. */
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

/** What an event was about, in a line: names, reasons and counts. */
function inShort(detail: RecordedEvent['detail']): string {
  return ['table', 'tables', 'kind', 'reason', 'why', 'until', 'at', 'by']
    .flatMap((name) => {
      const value = detail[name];
      if (Array.isArray(value)) return [`${value.length} ${name}`];
      return typeof value === 'string' || typeof value === 'number' ? [String(value)] : [];
    })
    .join(' · ');
}
