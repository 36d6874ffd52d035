import type { Position } from '../../change/position.ts';
import { sleep } from '../../errors/backoff.ts';
import type { Chunk } from '../../source/chunk/chunk-reader.ts';
import type { SourceConnection } from '../../source/connection.ts';
import { readHead, settleMs } from '../../source/position/positions.ts';
import type { ServerFlavor } from '../../source/server-flavor.ts';
import { openViewBehind, untilExecuted } from '../../source/position/visibility.ts';
import type { LiveStream } from '../stream/live-stream.ts';
import type { Around } from '../read/table-reader.ts';

/** How often a moment is taken that a read can refer to later, where rows become visible only some time after they are logged. */
const markEveryMs = 500;

/** What a read of a table beside the stream is worth. */
export interface Reading {
  /** Of keys that the stream brought since this mark, the stream's row counts. */
  readonly since: number;
  /** Everything that was read is in the binlog before here. */
  readonly until: Position;
}

interface Settled {
  readonly mark: number;
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
  readonly #replicator: SourceConnection;
  readonly #reader: SourceConnection;
  readonly #signal: AbortSignal;
  /** The oldest mark that each table may refer to; it was not watched before. */
  readonly #watched = new Map<string, number>();
  /** Tables that are being read; their chunks say themselves what they need no more. */
  readonly #begun = new Set<string>();
  #settled: Settled[] = [];
  #isMarking = false;
  /** Why marks can be taken no more. */
  #failure: { readonly error: unknown } | null = null;

  constructor(
    live: LiveStream,
    server: ServerFlavor,
    connections: { replicator: SourceConnection; reader: SourceConnection },
    signal: AbortSignal,
  ) {
    this.#live = live;
    this.#server = server;
    this.#replicator = connections.replicator;
    this.#reader = connections.reader;
    this.#signal = signal;
  }

  /** This table will be read before long: where a read has to refer to a moment some time ago, that begins now. */
  expect(table: string, engine: string): void {
    if (this.#how(engine) !== 'settled') return;
    this.#watch(table);
    this.#keepMarks();
  }

  /** From now on reads of this table can be put in their place. */
  begin(table: string): void {
    this.#watch(table);
    this.#begun.add(table);
  }

  #watch(table: string): void {
    if (this.#watched.has(table)) return;
    this.#live.touched.watch(table);
    this.#watched.set(table, this.#live.touched.mark());
  }

  #how(engine: string): 'view' | 'executed' | 'settled' {
    if (this.#server.flavor === 'mariadb') return engine.toLowerCase() === 'innodb' ? 'view' : 'settled';
    return this.#server.gtids && this.#live.position.gtid !== null ? 'executed' : 'settled';
  }

  /** Nobody reads this table any more. */
  end(table: string): void {
    this.#begun.delete(table);
    this.#live.touched.unwatch(table);
    this.#watched.delete(table);
  }

  /** Reads by `read`, which reads a table of this engine by `around`. */
  async read<T>(
    table: string,
    engine: string,
    read: (around: Around) => Promise<T>,
  ): Promise<{ readonly chunk: T; readonly reading: Reading }> {
    const how = this.#how(engine);
    let since = 0;
    let until: Position | null = null;
    const around: Around = async (reader, select) => {
      if (how === 'view') {
        since = this.#live.mark();
        until = await openViewBehind(reader, await this.#place(), this.#signal);
        const chunk: Chunk = await select();
        // A chunk that was cut short has given the connection up.
        if (!chunk.cut) await reader.query('commit');
        return chunk;
      }
      if (how === 'executed') {
        since = this.#live.mark();
        await untilExecuted(this.#replicator, (await this.#place()).gtid ?? '', this.#signal);
      } else since = await this.#settledMark(table);
      return await select();
    };
    const chunk = await read(around);
    until ??= await readHead(this.#replicator);
    return { chunk, reading: { since, until } };
  }

  /** Where the target is, once that is known by file and offset. */
  async #place(): Promise<Position> {
    while (this.#live.position.file === '') {
      await sleep(markEveryMs, this.#signal);
      this.#signal.throwIfAborted();
    }
    return this.#live.position;
  }

  async #settledMark(table: string): Promise<number> {
    this.#keepMarks();
    const oldest = this.#watched.get(table) ?? Infinity;
    for (;;) {
      this.#signal.throwIfAborted();
      if (this.#failure !== null) throw this.#failure.error;
      const usable = this.#usable(performance.now(), oldest);
      if (usable !== undefined) return usable.mark;
      await sleep(markEveryMs / 5, this.#signal);
    }
  }

  #usable(now: number, oldest: number): Settled | undefined {
    return this.#settled.findLast(({ mark, at }) => mark >= oldest && now - at >= settleMs);
  }

  #keepMarks(): void {
    if (this.#isMarking) return;
    this.#isMarking = true;
    this.#keepMarking().catch((error: unknown) => (this.#failure = { error }));
  }

  async #keepMarking(): Promise<void> {
    while (!this.#signal.aborted) {
      const mark = this.#live.mark();
      const seen = await this.#place();
      if (this.#server.flavor === 'mariadb') {
        await openViewBehind(this.#reader, seen, this.#signal);
        await this.#reader.query('commit');
      }
      const now = performance.now();
      this.#settled.push({ mark, at: now });
      this.#settled = this.#settled.filter(({ at }) => now - at < settleMs * 5);
      const oldest = this.#usable(now, 0)?.mark ?? 0;
      for (const table of this.#watched.keys()) if (!this.#begun.has(table)) this.#live.touched.forget(table, oldest);
      await sleep(markEveryMs, this.#signal);
    }
  }

  /** No read that began before this one is of use any more. */
  forget(table: string, { since }: Reading): void {
    this.#live.touched.forget(table, since);
  }
}
