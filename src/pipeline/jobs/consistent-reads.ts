import type { Position } from '../../change/position.ts';
import type { SourceConfig } from '../../config/config.ts';
import { backoff, sleep } from '../../lifetime/backoff.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { Chunk } from '../../mysql/chunk/chunk-reader.ts';
import { OnDemandConnection } from '../../mysql/on-demand-connection.ts';
import { readHead, visibleAfterMs } from '../../mysql/position/positions.ts';
import { type ServerFlavor, openOn } from '../../mysql/server-flavor.ts';
import { openViewBehind, untilExecuted } from '../../mysql/position/visibility.ts';
import type { LiveStream } from '../stream/live-stream.ts';
import type { WithinView } from '../read/table-reader.ts';

/** How often a moment is taken that a read can refer to later, where rows become visible only some time after they are logged. */
const watermarkEveryMs = 500;

/** What a read of a table beside the stream is worth. */
export interface Reading {
  /** Of keys that the stream brought since this mark, the stream's row counts. */
  readonly low: number;
  /** Everything that was read is in the binlog before here. */
  readonly high: Position;
}

/** A table whose keys are watched. */
interface Watched {
  /** Marks before this one are of no use to it. */
  readonly since: number;
  readonly how: How;
  /** Reads under way, and those of which somebody will ask yet what was touched since. */
  readonly open: Set<OpenReading>;
}

interface OpenReading {
  low: number;
  high: Position | null;
}

type How = 'view' | 'executed' | 'delayed';

interface Visible {
  readonly low: number;
  /** When everything before the mark could be seen but for what waits to be unlocked. */
  readonly at: number;
}

/**
 * Reads tables beside a stream so that what is read can be put in its place. A server logs a row before others can see it, so a
 * row that the stream has brought already may still be missing from a select. Each read therefore begins only when everything
 * that the stream had brought at some mark can be seen; and ends with the place in the binlog before which everything stands
 * that it saw. At that place, a row that was read is right, unless the stream brought its key since the mark.
 *
 * When a transaction can be seen, by server (measured; see docs/architecture.md):
 * - MariaDB, InnoDB: when it is behind the place of a consistent read view, which is exact in both directions.
 * - MySQL with GTIDs: when it is in @@global.gtid_executed.
 * - Else: some time later; a mark is used no sooner. On MariaDB that time begins when a read view is behind it, so that a commit
 *   that waits for a replica is waited for.
 */
export class ConsistentReads {
  readonly #live: LiveStream;
  readonly #server: ServerFlavor;
  readonly #replicator: OnDemandConnection;
  readonly #reader: OnDemandConnection;
  readonly #signal: AbortSignal;
  readonly #watched = new Map<string, Watched>();
  #visible: Visible[] = [];
  #isTaking = false;
  /** Why marks can be taken no more. */
  #failure: { readonly error: unknown } | null = null;

  constructor(
    source: SourceConfig,
    live: LiveStream,
    server: ServerFlavor,
    replicator: OnDemandConnection,
    signal: AbortSignal,
  ) {
    this.#live = live;
    this.#server = server;
    this.#replicator = replicator;
    this.#reader = new OnDemandConnection(async () => await openOn(source, 'reader', server));
    this.#signal = signal;
  }

  /** This table will be read before long: where a read has to refer to a moment some time ago, that begins now. */
  expect(table: string, engine: string): void {
    if (this.#how(engine) === 'delayed') this.#watch(table, engine);
  }

  /** From now on reads of this table can be put in their place; of earlier ones nobody will ask any more. */
  begin(table: string, engine: string): void {
    this.#watch(table, engine).open.clear();
  }

  #watch(table: string, engine: string): Watched {
    let watched = this.#watched.get(table);
    if (watched === undefined) {
      this.#live.windows.watch(table);
      watched = { since: this.#live.windows.lowWatermark(), how: this.#how(engine), open: new Set() };
      this.#watched.set(table, watched);
    }
    if (watched.how === 'delayed') this.#keepWatermarks();
    return watched;
  }

  #how(engine: string): How {
    if (this.#server.flavor === 'mariadb') return engine.toLowerCase() === 'innodb' ? 'view' : 'delayed';
    return this.#server.gtids && this.#live.position.gtid !== null ? 'executed' : 'delayed';
  }

  /** Those that are expected or have begun, and are not at their end. */
  get tables(): string[] {
    return [...this.#watched.keys()];
  }

  /** Nobody reads this table any more. */
  end(table: string): void {
    this.#live.windows.unwatch(table);
    this.#watched.delete(table);
  }

  /** Reads by `read`, which reads a table by `withinView`. Whoever gets the reading says when it is `done`. */
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
        // A chunk that was cut short has given the connection up.
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

  /** Nobody will ask about this reading any more. */
  done(table: string, reading: Reading): void {
    const watched = this.#watched.get(table);
    if (watched === undefined) return;
    watched.open.delete(reading);
    this.#forget(table, watched);
  }

  /** Where the source's binlog ends now. */
  async head(): Promise<Position> {
    return await this.#replicator.use(readHead);
  }

  /** What was touched before every reading that is still open, and every one to come, is of no use. */
  #forget(table: string, { how, open }: Watched): void {
    const next = how === 'delayed' ? (this.#usable(performance.now(), 0)?.low ?? 0) : this.#live.nextLowWatermark;
    this.#live.windows.forget(table, Math.min(next, ...[...open].map(({ low }) => low)));
  }

  /** Where the target is, once that is known by file and offset. */
  async #position(): Promise<Position> {
    while (this.#live.position.file === '') {
      await sleep(watermarkEveryMs, this.#signal);
      this.#signal.throwIfAborted();
    }
    return this.#live.position;
  }

  async #visibleWatermark({ since }: Watched): Promise<number> {
    for (;;) {
      this.#signal.throwIfAborted();
      if (this.#failure !== null) throw this.#failure.error;
      const usable = this.#usable(performance.now(), since);
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

  /** For as long as somebody needs marks. */
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
