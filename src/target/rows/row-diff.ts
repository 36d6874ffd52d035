import { sql } from 'kysely';
import type { RejectedRow } from '../../change/rejected-row.ts';
import { fromPostgres, isRowRefusal, sqlStateOf } from '../../errors/postgres-errors.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import { keyTextOf, keysToColumns } from './copy-lines.ts';
import { LineBuffer } from '../../change/line-buffer.ts';
import { checkLines, eachLine, lineKey } from './line-check.ts';
import type { TargetSession } from '../session.ts';
import { columnList, quoteIdentifier, quoteTable } from './tables.ts';
import { writeAround } from './write-around.ts';

/** A key as text that PostgreSQL takes or prints, a value for each column. */
export type KeyText = readonly string[];

/**
 * Where to look for rows that only the target has: in a range of keys, behind `after` and up to `upTo` (null: unbounded), of
 * which `condition` may take a part; among some keys; or nowhere.
 */
export type Scope =
  | {
      readonly kind: 'range';
      readonly after: KeyText | null;
      readonly upTo: KeyText | null;
      readonly condition: string | null;
    }
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
}

/**
 * Compares COPY lines with a target table, in a staging table of this session. Rows are equal when PostgreSQL would store the same
 * bytes for them: `=` takes 0 for -0, and 1.0 for 1.00 inside json
 * (https://www.postgresql.org/docs/current/functions-comparisons.html#COMPOSITE-TYPE-COMPARISON, `*<>`).
 */
export class RowDiff {
  readonly #session: TargetSession;
  readonly #replica: string;
  readonly #codec: TableCodec;
  readonly #table: string;
  readonly #columns: string;
  readonly #key: readonly { readonly name: string; readonly type: string }[];
  #hasStaging = false;
  /** The target's columns as a line has them. */
  readonly #printedColumns: string;
  readonly #present = new LineBuffer();
  /** Whether the source's rows and the target's are mostly written in the same letters. */
  #isWrittenAlike = true;

  constructor(session: TargetSession, replica: string, codec: TableCodec) {
    this.#session = session;
    this.#replica = replica;
    this.#codec = codec;
    const { schema, codecs } = codec;
    this.#table = quoteTable(replica, schema.table);
    this.#columns = columnList(schema);
    this.#printedColumns = schema.columns
      .map(({ name }, index) => `t.${quoteIdentifier(name)}${asInLines[codecs[index]?.pgType ?? ''] ?? ''}`)
      .join(', ');
    this.#key = schema.primaryKey.map((index) => ({
      name: quoteIdentifier(schema.columns[index]?.name ?? ''),
      type: codecs[index]?.pgType ?? '',
    }));
  }

  /**
   * Compares, and writes nothing but the staging table. Lines that are the target's rows letter for letter are equal; only the
   * others are staged and looked at as values, because the same value may be written in two ways.
   */
  async compare(given: Buffer, unreadable: readonly RejectedRow[], scope: Scope): Promise<Difference> {
    return await this.#session.guarded(async () => {
      if (scope.kind === 'range' && scope.condition === null && this.#isWrittenAlike && (await this.#hasNoLetters()))
        return await this.#compareText(given, unreadable, scope);
      return await this.#compareValues(given, unreadable, scope);
    });
  }

  async #compareText(
    given: Buffer,
    unreadable: readonly RejectedRow[],
    { after, upTo }: { after: KeyText | null; upTo: KeyText | null },
  ): Promise<Difference> {
    this.#present.length = 0;
    const key = this.#key.map(({ name }) => `t.${name}`).join(', ');
    await this.#session.copyOut(
      `select ${this.#printedColumns} from ${this.#table} t where ${this.#bounds(after, upTo)} order by ${key}`,
      this.#present,
    );
    const present = this.#present.bytes.subarray(0, this.#present.length);
    if (unreadable.length === 0 && given.equals(present)) return { ...nothing, lines: given };
    const here = new Map<string, Buffer>();
    for (const line of eachLine(present)) here.set(line.toString('latin1'), line);
    const suspects: Buffer[] = [];
    let count = 0;
    for (const line of eachLine(given)) {
      count++;
      if (!here.delete(line.toString('latin1'))) suspects.push(line);
    }
    const { schema } = this.#codec;
    const keys = [...here.values()].map((line) => keyTextOf(lineKey(line, schema), schema.primaryKey.length));
    const difference = await this.#compareValues(Buffer.concat(suspects), unreadable, { kind: 'keys', keys });
    // Where most rows are equal and written in another way, letters tell nothing: json, and fractions of seconds.
    const unequal = difference.missing.length + difference.different.length + difference.rejected.length;
    if (suspects.length > count / 4 && unequal < suspects.length / 2) this.#isWrittenAlike = false;
    return difference;
  }

  async #compareValues(given: Buffer, unreadable: readonly RejectedRow[], scope: Scope): Promise<Difference> {
    const { lines, rejected } = await this.#stage(given);
    const all = [...unreadable, ...rejected];
    if (lines.length > 0) await this.#validate(lines, scope);
    const { missing, different } = lines.length > 0 ? await this.#unequal() : nothing;
    const extra = await this.#extra(scope, all);
    const outdated = lines.length > 0 ? await this.#outdated(new Set([...missing, ...different])) : [];
    return { lines, rejected: all, missing, different, extra, outdated };
  }

  async #hasNoLetters(): Promise<boolean> {
    const letter = await this.#session.db
      .selectFrom('tidegate.dead_letters')
      .select('id')
      .where('replica', '=', this.#replica)
      .where('table_name', '=', this.#codec.schema.table)
      .limit(1)
      .executeTakeFirst();
    return letter === undefined;
  }

  /** The same as `#inRange`, for statements that take no parameters. */
  #bounds(after: KeyText | null, upTo: KeyText | null): string {
    const names = this.#key.map(({ name }) => `t.${name}`).join(', ');
    const values = (key: KeyText) =>
      key.map((value, i) => `'${value.replaceAll("'", "''")}'::${this.#key[i]?.type}`).join(', ');
    return [
      ...(after === null ? [] : [`(${names}) > (${values(after)})`]),
      ...(upTo === null ? [] : [`(${names}) <= (${values(upTo)})`]),
      'true',
    ].join(' and ');
  }

  async #stage(given: Buffer): Promise<{ lines: Buffer; rejected: readonly RejectedRow[] }> {
    const { schema } = this.#codec;
    const checked = checkLines(given, schema);
    await this.#emptyStaging();
    if (checked.lines.length === 0) return checked;
    const copy = async (part: Buffer, before = '') => await this.#session.copy(staging, this.#columns, part, before);
    try {
      await copy(checked.lines);
      return checked;
    } catch (error) {
      if (!isRowRefusal(error)) throw error;
    }
    const refused = await this.#session.transaction(async (trx) => {
      await this.#emptyStaging();
      return await writeAround(trx, checked.lines, schema, async (part, _rows, before) => await copy(part, before));
    });
    const lines = without(
      checked.lines,
      refused.map(({ row }) => row),
    );
    await this.#emptyStaging();
    if (lines.length > 0) await copy(lines);
    return { lines, rejected: [...checked.rejected, ...refused] };
  }

  async #emptyStaging(): Promise<void> {
    const { db } = this.#session;
    if (this.#hasStaging) {
      await sql.raw(`truncate ${staging} restart identity`).execute(db);
      return;
    }
    const { schema, codecs } = this.#codec;
    const columns = schema.columns.map(({ name }, index) => `${quoteIdentifier(name)} ${codecs[index]?.pgType}`);
    const key = this.#key.map(({ name }) => name).join(', ');
    await sql.raw(`drop table if exists ${staging}`).execute(db);
    // Its key refuses what would make one row of two.
    await sql
      .raw(
        `create temporary table ${staging.slice('pg_temp.'.length)} (${lineNumber} bigint generated always as identity, ${columns.join(', ')}, primary key (${key}))`,
      )
      .execute(db);
    this.#hasStaging = true;
  }

  /** As many rows as were read, all of them in the range that was asked for. Raises internal. */
  async #validate(lines: Buffer, scope: Scope): Promise<void> {
    const range = scope.kind === 'range' ? this.#inRange('s', scope) : sql`true`;
    const { rows } = await sql<{ all: string; inside: string }>`
      select count(*) as all, count(*) filter (where ${range}) as inside from ${sql.raw(staging)} s`.execute(
      this.#session.db,
    );
    const read = countLines(lines);
    const [counted] = rows;
    if (Number(counted?.all) !== read || Number(counted?.inside) !== read)
      throw new TidegateError(
        'internal',
        `table ${this.#codec.schema.table}: of ${read} rows read, ${counted?.all} were staged and ${counted?.inside} are in the range asked for`,
      );
  }

  async #unequal(): Promise<{ missing: number[]; different: number[] }> {
    const names = this.#codec.schema.columns.map(({ name }) => quoteIdentifier(name));
    const [first] = this.#key;
    const image = (side: string) => `row(${names.map((name) => `${side}.${name}`).join(', ')})::record`;
    const { rows } = await sql<{ n: string; missing: boolean }>`
      select s.${sql.raw(lineNumber)} - 1 as n, t.${sql.raw(first?.name ?? '')} is null as missing
        from ${sql.raw(staging)} s left join ${sql.raw(this.#table)} t on ${sql.raw(this.#sameKey('t', 's'))}
       where t.${sql.raw(first?.name ?? '')} is null or ${sql.raw(`${image('t')} *<> ${image('s')}`)}
       order by 1`.execute(this.#session.db);
    return {
      missing: rows.filter(({ missing }) => missing).map(({ n }) => Number(n)),
      different: rows.filter(({ missing }) => !missing).map(({ n }) => Number(n)),
    };
  }

  async #extra(scope: Scope, rejected: readonly RejectedRow[]): Promise<KeyText[]> {
    if (scope.kind === 'nowhere') return [];
    const isStaged = sql.raw(`exists (select from ${staging} s where ${this.#sameKey('s', 't')})`);
    const isRejected =
      rejected.length === 0
        ? sql`false`
        : sql`exists (select from ${this.#unnested(
            keysToColumns(
              rejected.map(({ key }) => key),
              this.#key.length,
            ) as string[][],
          )} where ${sql.raw(this.#sameAsGiven('t'))})`;
    const where =
      scope.kind === 'range'
        ? sql`${this.#inRange('t', scope)} and ${sql.raw(scope.condition ?? 'true')}`
        : sql`exists (select from ${this.#unnested(columnsOf(scope.keys, this.#key.length))} where ${sql.raw(this.#sameAsGiven('t'))})`;
    if (scope.kind === 'keys' && scope.keys.length === 0) return [];
    const { rows } = await sql<{ key: string[] }>`
      select array[${sql.raw(this.#printed('t'))}] as key from ${sql.raw(this.#table)} t
       where ${where} and not ${isStaged} and not ${isRejected}`.execute(this.#session.db);
    return rows.map(({ key }) => key);
  }

  /** Equal rows that have a dead letter. */
  async #outdated(unequal: ReadonlySet<number>): Promise<number[]> {
    const { db } = this.#session;
    const letters = await db
      .selectFrom('tidegate.dead_letters')
      .select('key')
      .where('replica', '=', this.#replica)
      .where('table_name', '=', this.#codec.schema.table)
      .execute();
    if (letters.length === 0) return [];
    const keys = keysToColumns(
      letters.map(({ key }) => key.toString('latin1')),
      this.#key.length,
    ) as string[][];
    const { rows } = await sql<{ n: string }>`
      select s.${sql.raw(lineNumber)} - 1 as n from ${sql.raw(staging)} s
       where exists (select from ${this.#unnested(keys)} where ${sql.raw(this.#sameAsGiven('s'))})`.execute(db);
    return rows.map(({ n }) => Number(n)).filter((n) => !unequal.has(n));
  }

  /** The target's next keys in its own order, of rows that meet the condition. */
  async page(after: KeyText | null, condition: string | null, limit: number): Promise<KeyText[]> {
    return await this.#session.guarded(async () => {
      const { rows } = await sql<{ key: string[] }>`
        select array[${sql.raw(this.#printed('t'))}] as key from ${sql.raw(this.#table)} t
         where ${this.#inRange('t', { after, upTo: null })} and ${sql.raw(condition ?? 'true')}
         order by ${sql.raw(this.#key.map(({ name }) => `t.${name}`).join(', '))} limit ${limit}`.execute(
        this.#session.db,
      );
      return rows.map(({ key }) => key);
    });
  }

  /** Which of `keys` are among `others`, as PostgreSQL compares them; by their index. */
  async among(keys: readonly KeyText[], others: readonly KeyText[]): Promise<ReadonlySet<number>> {
    if (keys.length === 0 || others.length === 0) return new Set();
    return await this.#session.guarded(async () => {
      const cast = (side: string) => this.#key.map(({ type }, i) => `${side}.k${i}::${type}`).join(', ');
      const { rows } = await sql<{ n: string }>`
        select a.n from ${this.#unnested(columnsOf(keys, this.#key.length), 'a', true)}
         where (${sql.raw(cast('a'))}) in (select ${sql.raw(cast('b'))} from ${this.#unnested(columnsOf(others, this.#key.length), 'b')})`.execute(
        this.#session.db,
      );
      return new Set(rows.map(({ n }) => Number(n) - 1));
    });
  }

  /** Raises refused for a condition that means nothing to PostgreSQL, before anything is done by it. */
  async tryCondition(condition: string): Promise<void> {
    try {
      await sql`select from ${sql.raw(this.#table)} t where ${sql.raw(condition)} limit 0`.execute(this.#session.db);
    } catch (error) {
      const state = sqlStateOf(error);
      // Syntax, names and types; and values that are none of the column's.
      if (state === null || !/^(42|22)/.test(state)) throw fromPostgres(error, { what: 'try the condition' });
      throw new TidegateError('refused', `PostgreSQL cannot tell which rows meet the condition (SQLSTATE ${state})`, {
        cause: error,
        hint: "Write it with comparisons that mean the same to both, as in: AptDateTime >= '2026-01-01'.",
      });
    }
  }

  #inRange(side: string, { after, upTo }: { after: KeyText | null; upTo: KeyText | null }) {
    const names = this.#key.map(({ name }) => `${side}.${name}`).join(', ');
    const values = (key: KeyText) =>
      sql.join(key.map((value, i) => sql`${value}::${sql.raw(this.#key[i]?.type ?? '')}`));
    const lower = after === null ? sql`true` : sql`(${sql.raw(names)}) > (${values(after)})`;
    return upTo === null ? lower : sql`${lower} and (${sql.raw(names)}) <= (${values(upTo)})`;
  }

  #sameKey(a: string, b: string): string {
    return this.#key.map(({ name }) => `${a}.${name} = ${b}.${name}`).join(' and ');
  }

  #sameAsGiven(side: string): string {
    return this.#key.map(({ name, type }, i) => `${side}.${name} = k.k${i}::${type}`).join(' and ');
  }

  #printed(side: string): string {
    return this.#key.map(({ name }) => `${side}.${name}::text`).join(', ');
  }

  #unnested(columns: readonly (readonly string[])[], name = 'k', numbered = false) {
    const arrays = sql.join(columns.map((values) => sql`${values}::text[]`));
    const names = columns.map((_, i) => `k${i}`).join(', ');
    return sql`unnest(${arrays}) ${sql.raw(numbered ? `with ordinality as ${name}(${names}, n)` : `as ${name}(${names})`)}`;
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
};
const staging = 'pg_temp.tidegate_compared';
const lineNumber = 'tidegate_line_number';

function columnsOf(keys: readonly KeyText[], count: number): string[][] {
  return Array.from({ length: count }, (_, i) => keys.map((key) => key[i] ?? ''));
}

function countLines(lines: Buffer): number {
  let count = 0;
  for (let at = lines.indexOf(10); at >= 0; at = lines.indexOf(10, at + 1)) count++;
  return count;
}

/** The lines but for some of them. */
function without(lines: Buffer, skipped: readonly Buffer[]): Buffer {
  const gone = new Set(skipped.map((line) => line.toString('latin1')));
  const kept: Buffer[] = [];
  for (let at = 0; at < lines.length;) {
    const end = lines.indexOf(10, at) + 1;
    const line = lines.subarray(at, end);
    if (!gone.has(line.toString('latin1'))) kept.push(line);
    at = end;
  }
  return Buffer.concat(kept);
}
