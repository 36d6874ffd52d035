import type { Config } from '../../config/config.ts';
import { failpoint } from '../../lifetime/failpoint.ts';
import { isForeignText } from '../../errors/mysql-errors.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { Scope } from '../../lifetime/scope.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import type { ServerFlavor } from '../../mysql/server-flavor.ts';
import type { JobProgress } from '../../postgres/control/control-schema.ts';
import { type Job, type JobCounts, advanceJob, isAutomatic } from '../../postgres/control/jobs.ts';
import { lineKey, lineStarts } from '../../postgres/rows/line-check.ts';
import { type Difference, RowDiff, type SearchRange } from '../../postgres/rows/row-diff.ts';
import type { Fence } from '../../postgres/control/fence.ts';
import type { KeyText } from '../../postgres/rows/table-key.ts';
import { unconfirmedDeletions } from '../../postgres/rows/tables.ts';
import { TargetKeys } from '../../postgres/rows/target-keys.ts';
import type { Condition } from './where-condition.ts';
import type { ConsistentReads, Reading } from './consistent-reads.ts';
import { JobTally } from './job-tally.ts';
import { SourceKeys } from './source-keys.ts';
import type { StreamView, Merge } from '../stream/stream-view.ts';
import { type Converted, type Reconciliation, reconcile } from './reconciliation.ts';
import { type WithinView, type ReaderSlot, type TableChunk, TableReader } from '../read/table-reader.ts';
import type { Throttle } from '../read/throttle.ts';

/** The most rows of a chunk. The stream waits while they are written. */
const mostRows = 20_000;
/** Rows looked up by key in one select. MariaDB turns a list of 1,000 or more into a table to join. */
const lookupRows = 500;
/** Keys of the target that are searched between two records of the progress. */
const pageKeys = 10_000;
/** How often a row is compared again because it changed during the comparison. */
const mostLooks = 4;

export interface JobContext {
  readonly config: Config;
  readonly server: ServerFlavor;
  readonly live: StreamView;
  readonly reads: ConsistentReads;
  readonly throttle: Throttle;
  readonly connection: ReaderSlot;
  readonly fence: Fence;
  readonly scope: Scope;
}

export interface JobTable {
  readonly codec: TableCodec;
  readonly engine: string;
  readonly estimatedRows: number;
}

/** Rows of the source, and the watermarks of their read. */
interface Read {
  readonly chunk: TableChunk;
  readonly reading: Reading;
}

/**
 * Compares a table, or the part of it that a condition selects, with the target, chunk by chunk. Repairs what differs if the job asks
 * for it. A chunk is read, staged and compared beside the stream. Then the comparison waits until the target is at the high watermark
 * of the read. Keys in the change window are left to the stream. The other differences are counted, and written in the one transaction
 * that the chunk gets between two batches.
 *
 * Rows that only the target has are found in the range of each chunk if both sides sort keys alike. Otherwise the target's keys are
 * searched afterwards, and the source is asked for them.
 *
 * Invariant: a difference is counted or written only while the target is at or beyond the high watermark of its read. Its key is not
 * in the change window since the low watermark.
 */
export class TableComparison {
  readonly #job: Job;
  readonly #context: JobContext;
  readonly #table: JobTable;
  readonly #condition: Condition | null;
  readonly #source: TableReader;
  readonly #sourceKeys: SourceKeys;
  readonly #targetKeys: TargetKeys;
  /** One for chunks, and one for lookups, which happen while the rest of a chunk is still to be reconciled. */
  readonly #diffs: { readonly chunks: RowDiff; readonly lookups: RowDiff };
  readonly #sortsAlike: boolean;
  readonly #tally: JobTally;

  constructor(job: Job, context: JobContext, table: JobTable, condition: Condition | null) {
    const { scope, config, server, connection, throttle, fence } = context;
    const { schema: replica } = config.target;
    this.#job = job;
    this.#context = context;
    this.#table = table;
    this.#condition = condition;
    this.#source = new TableReader(scope, config, server, connection, throttle, table, {
      mostRows,
      lineByLine: job.repair,
    });
    this.#sourceKeys = new SourceKeys(this.#source, table.codec);
    const { session } = fence;
    this.#targetKeys = new TargetKeys(session, replica, table.codec);
    this.#diffs = {
      chunks: new RowDiff(session, replica, table.codec, 'tidegate_chunk'),
      lookups: new RowDiff(session, replica, table.codec, 'tidegate_lookup'),
    };
    const { schema, codecs } = table.codec;
    this.#sortsAlike = schema.primaryKey.every((index) => codecs[index]?.sortsAlike === true);
    this.#tally = new JobTally(job, table.codec);
  }

  /** The counts so far. */
  get counts(): JobCounts {
    return this.#tally.counts;
  }

  /** Raises unconfirmed for deletions that need a confirmation, refused for the impossible, target-refused for a bad table. */
  async run(): Promise<void> {
    const { progress } = this.#job;
    if (this.#condition !== null) await this.#targetKeys.tryCondition(this.#condition.target);
    if (progress?.side !== 'target') await this.#readSource(progress);
    if (!this.#sortsAlike) await this.#searchTarget(progress?.side === 'target' ? progress.afterKey : null);
  }

  async #readSource(progress: JobProgress | null): Promise<void> {
    const { signal } = this.#context.scope;
    let { after, afterKey } = progress ?? { after: null, afterKey: null };
    const read = async () =>
      await this.#read(
        async (withinView) => await this.#source.next(after, this.#condition?.source ?? null, signal, withinView),
      );
    let next = read();
    for (;;) {
      const { chunk, reading } = await next;
      signal.throwIfAborted();
      const behind = chunk.lastKey;
      const last = chunk.isLast || behind === null;
      const upTo = last ? null : chunk.lastKeyText;
      const range: SearchRange = this.#sortsAlike
        ? { kind: 'range', after: afterKey, upTo, condition: this.#condition?.target ?? null }
        : { kind: 'nowhere' };
      if (!last) {
        after = behind;
        afterKey = chunk.lastKeyText;
        next = read();
        // It is awaited after the present chunk. Until then its failure must not count as unhandled.
        next.catch(() => undefined);
      }
      this.#tally.add({ rows: chunk.rows });
      await this.#lookAt(await this.#take({ chunk, reading }, this.#diffs.chunks, range, 0), 0);
      if (last) break;
      await this.#advance({ side: 'source', after, afterKey });
    }
    await this.#advance({ side: 'target', after: null, afterKey: null });
  }

  /**
   * Searches the target's keys, in the target's order, and asks the source which of them it has. Those were compared already, so only
   * the others are compared now.
   */
  async #searchTarget(from: KeyText | null): Promise<void> {
    for (let after = from; ;) {
      const keys = await this.#targetKeys.next(after, this.#condition?.target ?? null, pageKeys);
      const last = keys.at(-1);
      if (last === undefined) return;
      for (let at = 0; at < keys.length; at += lookupRows) {
        const some = keys.slice(at, at + lookupRows);
        const absent = await this.#sourceKeys.absent(some, this.#condition?.source ?? null, this.#context.scope.signal);
        await this.#lookAt(absent, 0);
      }
      after = last;
      await this.#advance({ side: 'target', after: null, afterKey: after });
    }
  }

  /** Compares these rows, whatever the condition, until each has a result. `looks`: how often they were compared before. */
  async #lookAt(keys: readonly KeyText[], looks: number): Promise<void> {
    for (let at = 0; at < keys.length; at += lookupRows) {
      let some: readonly KeyText[] = keys.slice(at, at + lookupRows);
      while (some.length > 0) {
        const read = await this.#lookUp(some);
        if (read === null) {
          const half = Math.ceil(some.length / 2);
          await this.#lookAt(some.slice(0, half), looks);
          await this.#lookAt(some.slice(half), looks);
          break;
        }
        some = await this.#take(read, this.#diffs.lookups, { kind: 'keys', keys: some }, looks);
      }
    }
  }

  /** Null: the source cannot be asked for these keys together. A row that was not read must not count as missing. */
  async #lookUp(keys: readonly KeyText[]): Promise<Read | null> {
    const lookup = async (some: readonly KeyText[]) => {
      const literals = this.#sourceKeys.literals(some);
      return await this.#read(
        async (withinView) => await this.#source.lookup(literals, this.#context.scope.signal, withinView),
      );
    };
    try {
      const read = await lookup(keys);
      if (!read.chunk.cut || keys.length === 1) return read;
      this.#done(read.reading);
      return null;
    } catch (error) {
      if (!isForeignText(error)) throw error;
      return keys.length === 1 ? await lookup([]) : null;
    }
  }

  async #read(read: (withinView: WithinView) => Promise<TableChunk>): Promise<Read> {
    return await this.#context.reads.read(this.#table.codec.schema.table, read);
  }

  #done(reading: Reading): void {
    this.#context.reads.done(this.#table.codec.schema.table, reading);
  }

  /** Compares rows of the source. Counts and repairs what differs at the high watermark. Returns the keys that have no result. */
  async #take({ chunk, reading }: Read, diff: RowDiff, range: SearchRange, looks: number): Promise<readonly KeyText[]> {
    const isPart = range.kind === 'range' && range.condition !== null;
    const lines = chunk.lines.bytes.subarray(0, chunk.lines.length);
    let difference = await diff.compare(lines, chunk.rejected, range);
    const converted = conversionsByKey(chunk, this.#table.codec.schema);
    const left: KeyText[] = [];
    for (;;) {
      const { outOfCondition, changing, unknown } = await this.#reconcile(difference, reading, isPart, converted);
      this.#context.scope.signal.throwIfAborted();
      failpoint('chunk-merged');
      left.push(...unknown);
      await this.#lookAt(outOfCondition, looks);
      if (looks < mostLooks) await this.#lookAt(changing, looks + 1);
      else this.#tally.add({ changing: changing.length });
      if (difference.more === null) break;
      difference = await difference.more();
    }
    this.#done(reading);
    return left;
  }

  /**
   * Waits until the target is at the high watermark, then counts and repairs what differs. Returns the keys that must be compared
   * again.
   */
  async #reconcile(
    difference: Difference,
    { low, high }: Reading,
    isPart: boolean,
    converted: Converted,
  ): Promise<Pick<Reconciliation, 'outOfCondition' | 'changing' | 'unknown'>> {
    const { live } = this.#context;
    const { signal } = this.#context.scope;
    const { schema } = this.#table.codec;
    const { repair } = this.#job;
    // This runs while the stream rests, so an error raised here fails the stream. The job's own errors are returned and raised later.
    const work = async (merge: Merge) => {
      if (live.suspended.has(schema.table)) return new JobOver();
      const window = live.windows.window(schema.table, low);
      const reconciliation = await reconcile(
        difference,
        converted,
        window,
        schema,
        this.#targetKeys,
        isPart,
        this.#tally.room,
      );
      const { changes, counts } = reconciliation;
      if (!repair) return { ...reconciliation, refused: 0 };
      const refusal = this.#refusalToDelete(counts.extra);
      if (refusal !== null) return refusal;
      const refused = changes.keyCount > 0 || counts.rejected > 0 ? await merge(changes) : 0;
      // Rows that the stream has brought meanwhile are correct.
      return { ...reconciliation, changing: [], refused };
    };
    const outcome = await live.at(high, work, signal);
    if (outcome instanceof Error) throw outcome;
    const { counts, examples, refused } = outcome;
    const found = counts.missing + counts.extra + counts.different;
    this.#tally.add({
      ...counts,
      rejected: counts.rejected + refused,
      ...(repair ? { repaired: found - refused } : {}),
    });
    this.#tally.name(examples);
    return outcome;
  }

  /**
   * Why so many rows must not be deleted; null: they may be deleted. Everywhere, a person must confirm what an automatic read would delete
   * beyond the limit. In production, this holds for every read.
   */
  #refusalToDelete(more: number): TidegateError | null {
    const { confirmed } = this.#job;
    const { environment } = this.#context.config;
    const { codec, estimatedRows } = this.#table;
    const { extra } = this.#tally.counts;
    const isLimited = environment === 'production' || isAutomatic(this.#job);
    if (confirmed || !isLimited || more === 0) return null;
    const { rows, share } = unconfirmedDeletions;
    const limit = Math.max(rows, Math.floor(estimatedRows * share));
    if (extra + more <= limit) return null;
    return new TidegateError(
      'unconfirmed',
      `table ${codec.schema.table}: the source lacks more than ${limit} of the target's rows, and deleting so many must be confirmed; ${extra} were deleted before this stopped`,
    );
  }

  async #advance(progress: JobProgress): Promise<void> {
    const { fence } = this.#context;
    const { signal } = this.#context.scope;
    const goesOn = await fence.transaction(
      async (trx) => await advanceJob(trx, this.#job.id, progress, this.#tally.counts, this.#tally.examples),
    );
    failpoint('job-advanced');
    signal.throwIfAborted();
    if (!goesOn) throw new JobOver();
  }
}

function conversionsByKey({ lines, converted }: TableChunk, schema: TableCodec['schema']): Converted {
  if (converted.size === 0) return new Map();
  const all = lines.bytes.subarray(0, lines.length);
  const starts = lineStarts(all);
  return new Map(
    [...converted].map(([n, conversions]) => [lineKey(all.subarray(starts[n], starts[n + 1]), schema), conversions]),
  );
}

/** The job was cancelled, or its table was suspended. There is nothing to report. */
export class JobOver extends Error {}
