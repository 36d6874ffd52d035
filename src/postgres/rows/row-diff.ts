import { sql } from 'kysely';
import { LineBuffer } from '../../change/line-buffer.ts';
import type { RejectedRow } from '../../change/rejected-row.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import { keyTextOf } from './copy-lines.ts';
import { eachLine, lineKey, lineStarts } from './line-check.ts';
import type { WritingSession } from '../session.ts';
import { ComparedRows, lineNumber } from './compared-rows.ts';
import { type TargetKeyRange, type KeyText, TableKey } from './table-key.ts';
import { quoteIdentifier, quoteTable } from './tables.ts';

/** At most this many rows that only the target has are returned at a time. */
const mostExtra = 10_000;
/** The text comparison reads at most twice the bytes of the source from the target, plus this many. */
const moreTextBytes = 4 * 1024 * 1024;

/** Where to look for rows that only the target has: in a range of keys, among some keys, or nowhere. `condition` may restrict the range. */
export type SearchRange =
  | (TargetKeyRange & { readonly kind: 'range'; readonly condition: string | null })
  | { readonly kind: 'keys'; readonly keys: readonly KeyText[] }
  | { readonly kind: 'nowhere' };

/** The differences between rows of the source and the target. Lines are numbered from 0. */
export interface Difference {
  /** The compared lines: the given lines without those that cannot be written. */
  readonly lines: Buffer;
  readonly rejected: readonly RejectedRow[];
  /** Lines without a row at the target. */
  readonly missing: readonly number[];
  /** Lines whose row at the target has other values. */
  readonly different: readonly number[];
  /** Keys that only the target has. */
  readonly extra: readonly KeyText[];
  /** Equal lines that have a dead letter, which is outdated. */
  readonly outdated: readonly number[];
  /**
   * Finds the remaining rows that only the target has; null if there are none. Call it before the next comparison, which reuses the
   * staging table.
   */
  readonly more: (() => Promise<Difference>) | null;
}

/**
 * Compares COPY lines with a target table. Rows are equal if PostgreSQL stores the same bytes for them. The operator `=` treats 0 and -0
 * as equal, and 1.0 and 1.00 inside json (https://www.postgresql.org/docs/current/functions-comparisons.html#COMPOSITE-TYPE-COMPARISON,
 * `*<>`).
 */
export class RowDiff {
  readonly #session: WritingSession;
  readonly #codec: TableCodec;
  readonly #key: TableKey;
  readonly #staging: ComparedRows;
  readonly #table: string;
  /** The columns of the target, printed as in a COPY line. */
  readonly #printedColumns: string;
  readonly #present = new LineBuffer();
  /** Whether equal rows of the source and the target mostly have the same text. */
  #isWrittenAlike = true;

  /** `name` is the name of the staging table and unique in the session. */
  constructor(session: WritingSession, replica: string, codec: TableCodec, name: string) {
    this.#session = session;
    this.#codec = codec;
    this.#key = new TableKey(codec);
    this.#staging = new ComparedRows(session, codec, name);
    const { schema, codecs } = codec;
    this.#table = quoteTable(replica, schema.table);
    this.#printedColumns = schema.columns
      .map(({ name }, index) => `t.${quoteIdentifier(name)}${asInLines[codecs[index]?.pgType ?? ''] ?? ''}`)
      .join(', ');
  }

  /**
   * Compares and writes nothing except the staging table. Lines with the same text as a target row are equal. Only the others are staged
   * and compared as values, because one value can have two texts.
   */
  async compare(given: Buffer, unreadable: readonly RejectedRow[], range: SearchRange): Promise<Difference> {
    if (
      range.kind === 'range' &&
      range.condition === null &&
      this.#isWrittenAlike &&
      (await this.#hasNoDeadLetters())
    ) {
      const difference = await this.#compareText(given, unreadable, range);
      if (difference !== null) return difference;
    }
    return await this.#compareValues(given, unreadable, range);
  }

  /** Null if the target has too many rows or bytes in the range. */
  async #compareText(
    given: Buffer,
    unreadable: readonly RejectedRow[],
    range: TargetKeyRange,
  ): Promise<Difference | null> {
    const count = lineStarts(given).length - 1;
    const present = await this.#presentText(range, count + mostExtra, given.length * 2 + moreTextBytes);
    if (present === null) return null;
    if (unreadable.length === 0 && given.equals(present)) return { ...nothing, lines: given };
    const here = new Map<string, Buffer>();
    for (const line of eachLine(present)) here.set(line.toString('latin1'), line);
    const suspects = [...eachLine(given)].filter((line) => !here.delete(line.toString('latin1')));
    const { schema } = this.#codec;
    const keys = [...here.values()].map((line) => keyTextOf(lineKey(line, schema), schema.primaryKey.length));
    const difference = await this.#compareValues(Buffer.concat(suspects), unreadable, { kind: 'keys', keys });
    // If most suspects are equal values with another text, the text comparison is useless. This happens with json and fractions of
    // seconds.
    const unequal = difference.missing.length + difference.different.length + difference.rejected.length;
    if (suspects.length > count / 4 && unequal < suspects.length / 2) this.#isWrittenAlike = false;
    return difference;
  }

  /** The rows of the target in a range as lines; null if there are more rows or bytes. */
  async #presentText(range: TargetKeyRange, mostRows: number, mostBytes: number): Promise<Buffer | null> {
    const present = this.#present;
    present.length = 0;
    const rows = await this.#session.copyOut(
      `select ${this.#printedColumns} from ${this.#table} t where ${this.#key.inRangeText('t', range)} order by ${this.#key.columns('t')} limit ${mostRows + 1}`,
      present,
      mostBytes,
    );
    return rows === null || rows > mostRows ? null : present.bytes.subarray(0, present.length);
  }

  async #compareValues(given: Buffer, unreadable: readonly RejectedRow[], range: SearchRange): Promise<Difference> {
    const staged = await this.#staging.fill(given, range.kind === 'range' ? range : null);
    const { lines } = staged;
    const rejected = [...unreadable, ...staged.rejected];
    const { missing, different } = lines.length > 0 ? await this.#unequal() : nothing;
    const outdated = lines.length > 0 ? await this.#outdated(new Set([...missing, ...different])) : [];
    return { lines, rejected, missing, different, outdated, ...(await this.#extra(range, rejected)) };
  }

  async #hasNoDeadLetters(): Promise<boolean> {
    const deadLetter = await this.#deadLetters().select('id').limit(1).executeTakeFirst();
    return deadLetter === undefined;
  }

  #deadLetters() {
    return this.#session.db.selectFrom('dead_letters').where('table_name', '=', this.#codec.schema.table);
  }

  async #unequal(): Promise<{ missing: number[]; different: number[] }> {
    const names = this.#codec.schema.columns.map(({ name }) => quoteIdentifier(name));
    const image = (side: string) => `row(${names.map((name) => `${side}.${name}`).join(', ')})::record`;
    const isMissing = sql.raw(`${this.#key.first('t')} is null`);
    const { rows } = await sql<{ n: string; missing: boolean }>`
      select ${sql.raw(lineNumber('s'))} as n, ${isMissing} as missing
        from ${sql.raw(this.#staging.table)} s left join ${sql.raw(this.#table)} t on ${sql.raw(this.#key.same('t', 's'))}
       where ${isMissing} or ${sql.raw(`${image('t')} *<> ${image('s')}`)}
       order by 1`.execute(this.#session.db);
    return {
      missing: rows.filter(({ missing }) => missing).map(({ n }) => Number(n)),
      different: rows.filter(({ missing }) => !missing).map(({ n }) => Number(n)),
    };
  }

  /** Equal rows that have a dead letter. */
  async #outdated(unequal: ReadonlySet<number>): Promise<number[]> {
    const deadLetters = await this.#deadLetters().select('key').execute();
    if (deadLetters.length === 0) return [];
    const keys = deadLetters.map(({ key }) => keyTextOf(key.toString('latin1'), this.#key.width));
    const { rows } = await sql<{ n: string }>`
      select ${sql.raw(lineNumber('s'))} as n from ${sql.raw(this.#staging.table)} s
       where exists (select from ${this.#key.list(keys, 'k')} where ${sql.raw(this.#key.isGiven('s', 'k'))})`.execute(
      this.#session.db,
    );
    return rows.map(({ n }) => Number(n)).filter((n) => !unequal.has(n));
  }

  async #extra(range: SearchRange, rejected: readonly RejectedRow[]): Promise<Pick<Difference, 'extra' | 'more'>> {
    if (range.kind === 'nowhere' || (range.kind === 'keys' && range.keys.length === 0))
      return { extra: [], more: null };
    if (range.kind === 'keys') {
      const isMeant = sql`exists (select from ${this.#key.list(range.keys, 'k')} where ${sql.raw(this.#key.isGiven('t', 'k'))})`;
      return { extra: await this.#extraWhere(isMeant, rejected, null), more: null };
    }
    const isMeant = sql`${this.#key.inRange('t', range)} and ${sql.raw(range.condition ?? 'true')}`;
    const extra = await this.#extraWhere(isMeant, rejected, mostExtra);
    const last = extra.length < mostExtra ? undefined : extra.at(-1);
    if (last === undefined) return { extra, more: null };
    const more = async () => ({ ...nothing, ...(await this.#extra({ ...range, after: last }, rejected)) });
    return { extra, more };
  }

  /** The first keys of the target, in its order, that are neither staged nor rejected. `limit` null means all. */
  async #extraWhere(
    isMeant: ReturnType<typeof sql>,
    rejected: readonly RejectedRow[],
    limit: number | null,
  ): Promise<KeyText[]> {
    const key = this.#key;
    const isStaged = sql.raw(`exists (select from ${this.#staging.table} s where ${key.same('s', 't')})`);
    const keys = rejected.map((row) => keyTextOf(row.key, key.width));
    const isRejected =
      keys.length === 0
        ? sql`false`
        : sql`exists (select from ${key.list(keys, 'r')} where ${sql.raw(key.isGiven('t', 'r'))})`;
    const { rows } = await sql<{ key: string[] }>`
      select ${sql.raw(key.printed('t'))} as key from ${sql.raw(this.#table)} t
       where ${isMeant} and not ${isStaged} and not ${isRejected}
       order by ${sql.raw(key.columns('t'))} limit ${limit}`.execute(this.#session.db);
    return rows.map(({ key }) => key);
  }
}

/**
 * Casts for types that PostgreSQL prints differently from a line. A line has the exact value of a float. It has no time zone, because
 * both sides use UTC.
 */
const asInLines: Readonly<Record<string, string>> = { real: '::double precision', 'timestamptz(0)': '::timestamp(0)' };
const nothing: Difference = {
  lines: Buffer.alloc(0),
  rejected: [],
  missing: [],
  different: [],
  extra: [],
  outdated: [],
  more: null,
};
