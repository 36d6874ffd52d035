import { toCopyText } from '../../change/copy-text.ts';
import { TableChanges } from '../../change/table-changes.ts';
import type { Config } from '../../config/config.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { failpoint } from '../../errors/failpoint.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import { keyTextOf } from '../../target/rows/copy-lines.ts';
import type { JobExample, JobProgress } from '../../target/control/control-schema.ts';
import { type Job, type JobCounts, advanceJob } from '../../target/control/jobs.ts';
import { lineKey, lineStarts } from '../../target/rows/line-check.ts';
import { type Difference, type KeyText, RowDiff, type Scope } from '../../target/rows/row-diff.ts';
import type { TargetSession } from '../../target/session.ts';
import type { Condition } from './where-condition.ts';
import type { ConsistentReads, Reading } from './consistent-reads.ts';
import type { LiveStream, Merge } from '../stream/live-stream.ts';
import { type Reader, type TableChunk, TableReader } from '../read/table-reader.ts';
import type { Throttle } from '../read/throttle.ts';

/** Rows of a chunk at most: while they are written the stream waits. */
const mostRows = 20_000;
/** Rows asked for by their keys at once. */
const lookupRows = 500;
/** How often a row is looked at again that changed while it was compared. */
const looksAgain = 4;
/** How many rows that differ are named. */
const mostExamples = 100;
/** What may be deleted without a confirmation in production: so many rows, or this share of the table, whichever is more. */
const unconfirmed = { rows: 1_000, share: 0.1 } as const;

export interface JobContext {
  readonly config: Config;
  readonly live: LiveStream;
  readonly reads: ConsistentReads;
  readonly throttle: Throttle;
  readonly connection: Reader;
  readonly session: TargetSession;
  readonly signal: AbortSignal;
}

export interface JobTable {
  readonly codec: TableCodec;
  readonly engine: string;
  readonly estimatedRows: number;
}

interface Comparison {
  readonly difference: Difference;
  readonly reading: Reading;
  readonly chunk: TableChunk;
}

/**
 * Compares a table, or the part of it that a condition takes, with the target, chunk by chunk, and mends what differs if that is
 * wanted. A chunk is read, staged and compared beside the stream. Then, once the target is where everything stands that the read
 * saw, what the stream has brought in the meantime is left to it, and the rest is right: it counts, and is written in the one
 * transaction that the chunk gets between two batches.
 *
 * Rows that only the target has are found in the range of each chunk where both sides sort keys alike. Where they do not, the
 * target's keys are gone through afterwards, and the source is asked for them.
 */
export class TableComparison {
  readonly #job: Job;
  readonly #context: JobContext;
  readonly #table: JobTable;
  readonly #condition: Condition | null;
  readonly #source: TableReader;
  readonly #diff: RowDiff;
  readonly #sortsAlike: boolean;
  #counts: JobCounts;
  #examples: readonly JobExample[];

  constructor(job: Job, context: JobContext, table: JobTable, condition: Condition | null) {
    this.#job = job;
    this.#context = context;
    this.#table = table;
    this.#condition = condition;
    this.#source = new TableReader(context.config, context.connection, context.throttle, table, mostRows);
    this.#diff = new RowDiff(context.session, context.config.target.schema, table.codec);
    const { schema, codecs } = table.codec;
    this.#sortsAlike = schema.primaryKey.every((index) => codecs[index]?.sortsAlike === true);
    this.#counts = job.counts;
    this.#examples = job.examples;
  }

  /** Raises refused for what must be confirmed first, or cannot be done; target-refused for the table. */
  async run(): Promise<JobCounts> {
    const { progress } = this.#job;
    if (this.#condition !== null) await this.#diff.tryCondition(this.#condition.target);
    if (progress?.side !== 'target') await this.#readSource(progress);
    if (!this.#sortsAlike) await this.#searchTarget(progress?.side === 'target' ? progress.afterKey : null);
    return this.#counts;
  }

  async #readSource(progress: JobProgress | null): Promise<void> {
    let { after, afterKey } = progress ?? { after: null, afterKey: null };
    const read = async () =>
      await this.#read(
        async (around) => await this.#source.next(after, this.#condition?.source ?? null, this.#context.signal, around),
      );
    let next = read();
    for (;;) {
      const { chunk, reading } = await next;
      this.#context.signal.throwIfAborted();
      const behind = chunk.lastKey;
      const last = chunk.isLast || behind === null;
      const upTo = last ? null : chunk.lastKeyText;
      const scope: Scope = this.#sortsAlike
        ? { kind: 'range', after: afterKey, upTo, condition: this.#condition?.target ?? null }
        : { kind: 'nowhere' };
      if (!last) {
        after = behind;
        afterKey = chunk.lastKeyText;
        next = read();
        // It is awaited after this one is done; until then a failure must not count as unhandled.
        next.catch(() => undefined);
      }
      await this.#take(chunk, reading, scope);
      if (last) break;
      await this.#advance({ side: 'source', after, afterKey });
    }
    await this.#advance({ side: 'target', after: null, afterKey: null });
  }

  /** Goes through the target's keys, in its own order, and asks the source for each. */
  async #searchTarget(from: KeyText | null): Promise<void> {
    for (let after = from; ;) {
      const keys = await this.#diff.page(after, this.#condition?.target ?? null, lookupRows);
      const last = keys.at(-1);
      if (last === undefined) return;
      // Without a condition, what the source has of them was compared already.
      await this.#lookAt(keys, 0, this.#condition === null);
      after = last;
      await this.#advance({ side: 'target', after: null, afterKey: after });
    }
  }

  async #lookAt(keys: readonly KeyText[], again: number, onlyExtra = false): Promise<void> {
    let most = lookupRows;
    for (let at = 0; at < keys.length;) {
      const some = keys.slice(at, at + most);
      const literals = some.map((key) => this.#literals(key));
      const { chunk, reading } = await this.#read(
        async (around) => await this.#source.lookup(literals, this.#context.signal, around),
      );
      // Of keys whose turn did not come it is not known whether the source has them: fewer are asked for.
      if (chunk.cut && some.length > 1) most = Math.ceil(some.length / 2);
      else {
        await this.#take(chunk, reading, { kind: 'keys', keys: some }, again, onlyExtra);
        at += some.length;
      }
    }
  }

  #literals(key: KeyText): string[] {
    const { schema, codecs } = this.#table.codec;
    return schema.primaryKey.map((index, position) => {
      const literal = codecs[index]?.literalOf;
      if (literal === undefined)
        throw new TidegateError(
          'refused',
          `table ${schema.table}: the source cannot be asked for rows by a key of this type`,
        );
      return literal(key[position] ?? '');
    });
  }

  async #read(read: Parameters<ConsistentReads['read']>[2]): Promise<{ chunk: TableChunk; reading: Reading }> {
    const { codec, engine } = this.#table;
    return (await this.#context.reads.read(codec.schema.table, engine, read)) as {
      chunk: TableChunk;
      reading: Reading;
    };
  }

  /** Compares a chunk, waits for its moment, and counts and mends what is different then. */
  async #take(chunk: TableChunk, reading: Reading, scope: Scope, again = 0, onlyExtra = false): Promise<void> {
    const { live, reads, signal } = this.#context;
    const { table } = this.#table.codec.schema;
    const compared = await this.#diff.compare(chunk.lines.bytes.subarray(0, chunk.lines.length), chunk.rejected, scope);
    const difference = onlyExtra ? { ...compared, missing: [], different: [], outdated: [], rejected: [] } : compared;
    const settled = await live.at(
      reading.until,
      async (merge) => await this.#settle({ difference, reading, chunk }, scope, merge),
    );
    signal.throwIfAborted();
    reads.forget(table, reading);
    if (scope.kind !== 'keys') this.#add({ rows: chunk.rows });
    failpoint('chunk-merged');
    if (settled === 'parked') throw new JobCancelled();
    if (settled instanceof TidegateError) throw settled;
    const { suspects, changing } = settled;
    if (suspects.length > 0) await this.#lookAt(suspects, again);
    if (changing.length === 0) return;
    if (again < looksAgain) await this.#lookAt(changing, again + 1);
    else this.#add({ changing: changing.length });
  }

  /** At rest, so that a failure is the stream's: sorts what differs into what the stream has touched since, and what is so; and writes the latter. */
  async #settle(
    { difference, reading, chunk }: Comparison,
    scope: Scope,
    merge: Merge,
  ): Promise<{ suspects: KeyText[]; changing: KeyText[] } | TidegateError | 'parked'> {
    const { schema } = this.#table.codec;
    if (this.#context.live.parked.has(schema.table)) return 'parked';
    const touched = this.#context.live.touched.since(schema.table, reading.since);
    const { lines } = difference;
    const starts =
      difference.missing.length + difference.different.length + difference.outdated.length > 0 ? lineStarts(lines) : [];
    const changes = new TableChanges(schema);
    const changing: KeyText[] = [];
    const counts = { missing: 0, extra: 0, different: 0, rejected: 0 };
    const take = (n: number, what: 'missing' | 'different' | 'outdated') => {
      const line = lines.subarray(starts[n], starts[n + 1]);
      const key = lineKey(line, schema);
      if (touched.all || touched.has(key)) {
        if (what !== 'outdated') changing.push(keyTextOf(key, schema.primaryKey.length));
        return;
      }
      if (what !== 'outdated') {
        counts[what]++;
        this.#name(what, keyTextOf(key, schema.primaryKey.length));
      }
      const start = changes.lines.length;
      changes.lines.plain(line, 0, line.length);
      changes.upsert(what === 'missing' ? 'insert' : 'update', key, start);
    };
    for (const n of difference.missing) take(n, 'missing');
    for (const n of difference.different) take(n, 'different');
    for (const n of difference.outdated) take(n, 'outdated');
    for (const row of difference.rejected) {
      if (touched.all || touched.has(row.key)) continue;
      counts.rejected++;
      changes.reject(row);
    }

    // With a condition, a row that the source has in this range may just not meet it any more.
    const suspects = scope.kind === 'range' && scope.condition !== null ? [...difference.extra] : [];
    const extra = suspects.length > 0 ? [] : difference.extra;
    const others =
      extra.length === 0 || touched.all ? [] : touched.keys().map((key) => keyTextOf(key, schema.primaryKey.length));
    const moved = await this.#diff.among(extra, others);
    for (const [index, key] of extra.entries()) {
      if (touched.all || moved.has(index)) {
        changing.push(key);
        continue;
      }
      counts.extra++;
      this.#name('extra', key);
      changes.delete(copyTextOf(key));
    }

    const found = counts.missing + counts.extra + counts.different;
    if (this.#job.repair) {
      const refusal = this.#refusalToDelete(counts.extra);
      if (refusal !== null) return refusal;
      changes.converted(chunk.conversions);
      if (changes.keyCount > 0 || counts.rejected > 0) await merge(changes);
      this.#add({ ...counts, repaired: found });
      // What the stream has brought since is right as it is; where that may be anything, it has to be looked at.
      return { suspects, changing: touched.all ? changing : [] };
    }
    this.#add(counts);
    return { suspects, changing };
  }

  /** Why so many rows must not be deleted; null: they may. */
  #refusalToDelete(more: number): TidegateError | null {
    const { confirmed } = this.#job;
    const { environment } = this.#context.config;
    const { codec, estimatedRows } = this.#table;
    if (confirmed || environment !== 'production' || more === 0) return null;
    const limit = Math.max(unconfirmed.rows, Math.floor(estimatedRows * unconfirmed.share));
    if (this.#counts.extra + more <= limit) return null;
    return new TidegateError(
      'unconfirmed',
      `table ${codec.schema.table}: the source lacks more than ${limit} of the target's rows, and deleting so many must be confirmed`,
    );
  }

  #name(what: JobExample['what'], key: KeyText): void {
    if (this.#examples.length < mostExamples)
      this.#examples = [...this.#examples, { what, key: showableKey(this.#table.codec, key) }];
  }

  #add(more: Partial<JobCounts>): void {
    const counts: Record<string, number> = { ...this.#counts };
    for (const [name, count] of Object.entries(more)) counts[name] = (counts[name] ?? 0) + count;
    this.#counts = counts as unknown as JobCounts;
  }

  async #advance(progress: JobProgress): Promise<void> {
    const { session, signal } = this.#context;
    const goesOn = await session.guarded(
      async () => await advanceJob(session.db, this.#job.id, progress, this.#counts, this.#examples),
    );
    failpoint('job-advanced');
    signal.throwIfAborted();
    if (!goesOn) throw new JobCancelled();
  }
}

/** Somebody cancelled the job; there is nothing to report. */
export class JobCancelled extends Error {}

function copyTextOf(key: KeyText): string {
  const text = key.map(toCopyText).join('\t');
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** Types whose values name a row and nobody. */
const showable = /int$|^(decimal|year|date|datetime|timestamp|time|bit|uuid)$/;

/** A key for people; null where it holds text, which may be anything. */
export function showableKey({ schema }: TableCodec, key: KeyText): string | null {
  const isShowable = schema.primaryKey.every((index) => showable.test(schema.columns[index]?.type ?? ''));
  return isShowable ? key.join(', ') : null;
}
