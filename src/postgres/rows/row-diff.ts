import { sql } from 'kysely';
import { LineBuffer } from '../../change/line-buffer.ts';
import type { RejectedRow } from '../../change/rejected-row.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import { keyTextOf } from './copy-lines.ts';
import { eachLine, lineKey, lineStarts } from './line-check.ts';
import type { TargetSession } from '../session.ts';
import { ComparedRows, lineNumber } from './compared-rows.ts';
import { type TargetKeyRange, type KeyText, TableKey } from './table-key.ts';
import { quoteIdentifier, quoteTable } from './tables.ts';

/** Rows that only the target has are named no more than so many at a time. */
const mostExtra = 10_000;
/** Of the target's rows of a range no more text is looked at than twice the source's, and so much. */
const moreTextBytes = 4 * 1024 * 1024;

/**
 * Where to look for rows that only the target has: in a range of keys, of which `condition` may take a part; among some keys; or
 * nowhere.
 */
export type Scope =
  | (TargetKeyRange & { readonly kind: 'range'; readonly condition: string | null })
  | { readonly kind: 'keys'; readonly keys: readonly KeyText[] }
  | { readonly kind: 'nowhere' };

/** How rows of the source and the target differ. Lines are counted from 0. */
export interface Difference {
  /** The lines that were compared: those given, without those that cannot be written. */
  readonly lines: Buffer;
  readonly rejected: readonly RejectedRow[];
  /** Lines the target has no row for. */
  readonly missing: readonly number[];
  /** Lines of which the target's row is another. */
  readonly different: readonly number[];
  /** Keys of which only the target has a row. */
  readonly extra: readonly KeyText[];
  /** Lines that are equal and have a dead letter, which is out of date. */
  readonly outdated: readonly number[];
  /** Looks for the rest of what only the target has, before anything else is compared; null: there is none. */
  readonly more: (() => Promise<Difference>) | null;
}

/**
 * Compares COPY lines with a target table. Rows are equal when PostgreSQL would store the same bytes for them: `=` takes 0 for
 * -0, and 1.0 for 1.00 inside json
 * (https://www.postgresql.org/docs/current/functions-comparisons.html#COMPOSITE-TYPE-COMPARISON, `*<>`).
 */
export class RowDiff {
  readonly #session: TargetSession;
  readonly #codec: TableCodec;
  readonly #key: TableKey;
  readonly #staging: ComparedRows;
  readonly #table: string;
  /** The target's columns as a line has them. */
  readonly #printedColumns: string;
  readonly #present = new LineBuffer();
  /** Whether the source's rows and the target's are mostly written in the same letters. */
  #isWrittenAlike = true;

  /** `name`: of the staging table; the session has no other of that name. */
  constructor(session: TargetSession, replica: string, codec: TableCodec, name: string) {
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
   * Compares, and writes nothing but the staging table. Lines that are the target's rows letter for letter are equal; only the
   * others are staged and looked at as values, because the same value may be written in two ways.
   */
  async compare(given: Buffer, unreadable: readonly RejectedRow[], scope: Scope): Promise<Difference> {
    return await this.#session.guarded(async () => {
      if (scope.kind === 'range' && scope.condition === null && this.#isWrittenAlike && (await this.#hasNoLetters())) {
        const difference = await this.#compareText(given, unreadable, scope);
        if (difference !== null) return difference;
      }
      return await this.#compareValues(given, unreadable, scope);
    });
  }

  /** Null: the target has too many rows there to look at them all. */
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
    // Where most rows are equal and written in another way, letters tell nothing: json, and fractions of seconds.
    const unequal = difference.missing.length + difference.different.length + difference.rejected.length;
    if (suspects.length > count / 4 && unequal < suspects.length / 2) this.#isWrittenAlike = false;
    return difference;
  }

  /** The target's rows of a range as lines; null: there are more rows or bytes. */
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

  async #compareValues(given: Buffer, unreadable: readonly RejectedRow[], scope: Scope): Promise<Difference> {
    const staged = await this.#staging.fill(given, scope.kind === 'range' ? scope : null);
    const { lines } = staged;
    const rejected = [...unreadable, ...staged.rejected];
    const { missing, different } = lines.length > 0 ? await this.#unequal() : nothing;
    const outdated = lines.length > 0 ? await this.#outdated(new Set([...missing, ...different])) : [];
    return { lines, rejected, missing, different, outdated, ...(await this.#extra(scope, rejected)) };
  }

  async #hasNoLetters(): Promise<boolean> {
    const letter = await this.#letters().select('id').limit(1).executeTakeFirst();
    return letter === undefined;
  }

  #letters() {
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
    const letters = await this.#letters().select('key').execute();
    if (letters.length === 0) return [];
    const keys = letters.map(({ key }) => keyTextOf(key.toString('latin1'), this.#key.width));
    const { rows } = await sql<{ n: string }>`
      select ${sql.raw(lineNumber('s'))} as n from ${sql.raw(this.#staging.table)} s
       where exists (select from ${this.#key.list(keys, 'k')} where ${sql.raw(this.#key.isGiven('s', 'k'))})`.execute(
      this.#session.db,
    );
    return rows.map(({ n }) => Number(n)).filter((n) => !unequal.has(n));
  }

  async #extra(scope: Scope, rejected: readonly RejectedRow[]): Promise<Pick<Difference, 'extra' | 'more'>> {
    if (scope.kind === 'nowhere' || (scope.kind === 'keys' && scope.keys.length === 0))
      return { extra: [], more: null };
    if (scope.kind === 'keys') {
      const isMeant = sql`exists (select from ${this.#key.list(scope.keys, 'k')} where ${sql.raw(this.#key.isGiven('t', 'k'))})`;
      return { extra: await this.#extraWhere(isMeant, rejected, null), more: null };
    }
    const isMeant = sql`${this.#key.inRange('t', scope)} and ${sql.raw(scope.condition ?? 'true')}`;
    const extra = await this.#extraWhere(isMeant, rejected, mostExtra);
    const last = extra.length < mostExtra ? undefined : extra.at(-1);
    if (last === undefined) return { extra, more: null };
    const more = async () =>
      await this.#session.guarded(async () => ({
        ...nothing,
        ...(await this.#extra({ ...scope, after: last }, rejected)),
      }));
    return { extra, more };
  }

  /** The first keys of the target, as it sorts them, that are neither staged nor rejected; `limit`: null for all. */
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

/** What a line has where PostgreSQL prints something else: the exact value of a float, and no zone, which is UTC on both sides. */
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
