import type { Position } from '../../change/position.ts';
import type { SourceConfig } from '../../config/config.ts';
import { backoff, sleep } from '../../lifetime/backoff.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { Scope } from '../../lifetime/scope.ts';
import type { Chunk } from '../../mysql/chunk/chunk-reader.ts';
import { OnDemandConnection } from '../../mysql/on-demand-connection.ts';
import { readHead, visibleAfterMs } from '../../mysql/position/positions.ts';
import { type ServerFlavor, openOn } from '../../mysql/server-flavor.ts';
import { openViewBehind, untilExecuted } from '../../mysql/position/visibility.ts';
import type { StreamView } from '../stream/stream-view.ts';
import type { WithinView } from '../read/table-reader.ts';

/** How often a low watermark is taken for later reads, if rows become visible some time after they are logged. */
const watermarkEveryMs = 500;

/** The moment of a read beside the stream, as two watermarks. */
export interface Reading {
  /** The low watermark. For keys that the stream brought since then, the stream's row counts. */
  readonly low: number;
  /** The high watermark. Everything that was read is in the binlog before this position. */
  readonly high: Position;
}

/** A table whose changed keys are recorded. */
interface Watched {
  /** Reads of this table cannot use earlier low watermarks. */
  readonly oldestLow: number;
  readonly how: How;
  /** Reads in progress, and reads whose change window is still needed. */
  readonly open: Set<OpenReading>;
}

interface OpenReading {
  low: number;
  high: Position | null;
}

type How = 'view' | 'executed' | 'delayed';

interface Visible {
  readonly low: number;
  /** When everything before the low watermark was visible, except what waits for a lock to be released. */
  readonly at: number;
}

/**
 * Reads tables beside a stream and gives each read two watermarks, by which its rows are merged with the stream. A server logs a row
 * before others can see it. So a select can miss a row that the stream has already brought. Each read therefore starts only when
 * everything is visible that the stream brought before the low watermark. The high watermark is a position in the binlog. Everything
 * that the read saw lies before it.
 *
 * Invariant: at the high watermark, a read row is correct, unless the stream brought its key since the low watermark.
 *
 * When a transaction is visible, by server (measured; see docs/architecture.md):
 * - MariaDB, InnoDB: when its position is before the position of a consistent read view. This is exact in both directions.
 * - MySQL with GTIDs: when it is in @@global.gtid_executed.
 * - Otherwise: some time later; a low watermark is not used earlier. On MariaDB that time starts when a read view contains the
 *   transaction. So a commit that waits for a replica cannot outlast it.
 */
export class ConsistentReads {
  readonly #live: StreamView;
  readonly #server: ServerFlavor;
  readonly #replicator: OnDemandConnection;
  readonly #reader: OnDemandConnection;
  readonly #signal: AbortSignal;
  readonly #watched = new Map<string, Watched>();
  #visible: Visible[] = [];
  #isTaking = false;
  /** Why no more low watermarks can be taken. */
  #failure: { readonly error: unknown } | null = null;

  constructor(
    scope: Scope,
    source: SourceConfig,
    live: StreamView,
    server: ServerFlavor,
    replicator: OnDemandConnection,
  ) {
    this.#live = live;
    this.#server = server;
    this.#replicator = replicator;
    this.#reader = new OnDemandConnection(async () => await openOn(scope, source, 'reader', server));
    this.#signal = scope.signal;
  }

  /** This table will be read soon. If its reads need a low watermark of some time ago, it is taken from now on. */
  expect(table: string, engine: string): void {
    if (this.#how(engine) === 'delayed') this.#watch(table, engine);
  }

  /** From now on reads of this table have watermarks. The change windows of its earlier reads are no longer needed. */
  begin(table: string, engine: string): void {
    this.#watch(table, engine).open.clear();
  }

  #watch(table: string, engine: string): Watched {
    let watched = this.#watched.get(table);
    if (watched === undefined) {
      this.#live.windows.watch(table);
      watched = { oldestLow: this.#live.windows.lowWatermark(), how: this.#how(engine), open: new Set() };
      this.#watched.set(table, watched);
    }
    if (watched.how === 'delayed') this.#keepWatermarks();
    return watched;
  }

  #how(engine: string): How {
    if (this.#server.flavor === 'mariadb') return engine.toLowerCase() === 'innodb' ? 'view' : 'delayed';
    return this.#server.gtids && this.#live.position.gtid !== null ? 'executed' : 'delayed';
  }

  /** Tables that were expected or started, and have not ended. */
  get tables(): string[] {
    return [...this.#watched.keys()];
  }

  /** This table is not read any more. */
  end(table: string): void {
    this.#live.windows.unwatch(table);
    this.#watched.delete(table);
  }

  /** Runs `read`, which reads a table by `withinView`. The caller calls `done` when it no longer needs the reading. */
  async read<T>(
    table: string,
    read: (withinView: WithinView) => Promise<T>,
  ): Promise<{ readonly chunk: T; readonly reading: Reading }> {
    const watched = this.#watched.get(table);
    if (watched === undefined) throw new TidegateError('internal', `table ${table} is read before it is watched`);
    const reading: OpenReading = { low: 0, high: null };
    const begin = (low: number) => {
      reading.low = low;
      watched.open.add(reading);
      this.#forget(table, watched);
    };
    const withinView: WithinView = async (reader, select) => {
      if (watched.how === 'view') {
        begin(this.#live.lowWatermark());
        reading.high = await openViewBehind(reader, await this.#position(), this.#signal);
        const chunk: Chunk = await select();
        // A chunk that was cut short has closed its connection.
        if (!chunk.cut) await reader.query('commit');
        return chunk;
      }
      if (watched.how === 'executed') {
        begin(this.#live.lowWatermark());
        const { gtid } = await this.#position();
        await this.#replicator.use(async (replicator) => await untilExecuted(replicator, gtid ?? '', this.#signal));
      } else begin(await this.#visibleWatermark(watched));
      return await select();
    };
    try {
      const chunk = await read(withinView);
      return { chunk, reading: Object.assign(reading, { high: reading.high ?? (await this.head()) }) };
    } catch (error) {
      watched.open.delete(reading);
      throw error;
    }
  }

  /** The change window of this reading is no longer needed. */
  done(table: string, reading: Reading): void {
    const watched = this.#watched.get(table);
    if (watched === undefined) return;
    watched.open.delete(reading);
    this.#forget(table, watched);
  }

  /** The present end of the source's binlog. */
  async head(): Promise<Position> {
    return await this.#replicator.use(readHead);
  }

  /** Forgets the changed keys that no open or later reading needs. */
  #forget(table: string, { how, open }: Watched): void {
    const next = how === 'delayed' ? (this.#usable(performance.now(), 0)?.low ?? 0) : this.#live.nextLowWatermark;
    this.#live.windows.forget(table, Math.min(next, ...[...open].map(({ low }) => low)));
  }

  /** The position of the target, once it is known by file and offset. */
  async #position(): Promise<Position> {
    while (this.#live.position.file === '') {
      await sleep(watermarkEveryMs, this.#signal);
      this.#signal.throwIfAborted();
    }
    return this.#live.position;
  }

  async #visibleWatermark({ oldestLow }: Watched): Promise<number> {
    for (;;) {
      this.#signal.throwIfAborted();
      if (this.#failure !== null) throw this.#failure.error;
      const usable = this.#usable(performance.now(), oldestLow);
      if (usable !== undefined) return usable.low;
      await sleep(watermarkEveryMs / 5, this.#signal);
    }
  }

  #usable(now: number, oldest: number): Visible | undefined {
    return this.#visible.findLast(({ low, at }) => low >= oldest && now - at >= visibleAfterMs);
  }

  #keepWatermarks(): void {
    if (this.#isTaking) return;
    this.#isTaking = true;
    this.#failure = null;
    this.#takeWatermarks().catch((error: unknown) => {
      this.#failure = { error };
      this.#isTaking = false;
    });
  }

  /** Takes low watermarks for as long as a table needs them. */
  async #takeWatermarks(): Promise<void> {
    const isNeeded = () => [...this.#watched.values()].some(({ how }) => how === 'delayed');
    for (let failures = 0; isNeeded() && !this.#signal.aborted;) {
      try {
        await this.#takeWatermark();
        failures = 0;
        await sleep(watermarkEveryMs, this.#signal);
      } catch (error) {
        if (!(error instanceof TidegateError) || error.action !== 'retry') throw error;
        await sleep(backoff(++failures), this.#signal);
      }
    }
    this.#visible = [];
    this.#isTaking = false;
    await this.#reader.close();
  }

  async #takeWatermark(): Promise<void> {
    const low = this.#live.lowWatermark();
    const seen = await this.#position();
    if (this.#server.flavor === 'mariadb')
      await this.#reader.use(async (reader) => {
        await openViewBehind(reader, seen, this.#signal);
        await reader.query('commit');
      });
    const now = performance.now();
    this.#visible.push({ low, at: now });
    this.#visible = this.#visible.filter(({ at }) => now - at < visibleAfterMs * 5);
    for (const [table, watched] of this.#watched) this.#forget(table, watched);
  }
}
