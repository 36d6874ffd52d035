import { sql } from 'kysely';
import { fromPostgres, sqlStateOf } from '../../errors/postgres-errors.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import type { TargetSession } from '../session.ts';
import { type KeyText, TableKey } from './table-key.ts';
import { quoteTable } from './tables.ts';

/** Reads the keys of a target table. */
export class TargetKeys {
  readonly #session: TargetSession;
  readonly #table: string;
  readonly #key: TableKey;

  constructor(session: TargetSession, replica: string, codec: TableCodec) {
    this.#session = session;
    this.#table = quoteTable(replica, codec.schema.table);
    this.#key = new TableKey(codec);
  }

  /** The next keys behind `after`, in the order of the target, of rows that meet the condition. */
  async next(after: KeyText | null, condition: string | null, limit: number): Promise<KeyText[]> {
    const { rows } = await sql<{ key: string[] }>`
      select ${sql.raw(this.#key.printed('t'))} as key from ${sql.raw(this.#table)} t
       where ${this.#key.inRange('t', { after, upTo: null })} and ${sql.raw(condition ?? 'true')}
       order by ${sql.raw(this.#key.columns('t'))} limit ${limit}`.execute(this.#session.db);
    return rows.map(({ key }) => key);
  }

  /** The indexes of those `keys` that are also in `others`, compared by PostgreSQL. */
  async among(keys: readonly KeyText[], others: readonly KeyText[]): Promise<ReadonlySet<number>> {
    if (keys.length === 0 || others.length === 0) return new Set();
    const { rows } = await sql<{ n: string }>`
      select a.n from ${this.#key.list(keys, 'a')}
       where (${sql.raw(this.#key.given('a'))}) in
             (select ${sql.raw(this.#key.given('b'))} from ${this.#key.list(others, 'b')})`.execute(this.#session.db);
    return new Set(rows.map(({ n }) => Number(n) - 1));
  }

  /** Raises refused for a condition that PostgreSQL cannot evaluate, before anything uses it. */
  async tryCondition(condition: string): Promise<void> {
    try {
      await sql`select from ${sql.raw(this.#table)} t where ${sql.raw(condition)} limit 0`.execute(this.#session.db);
    } catch (error) {
      const state = sqlStateOf(error);
      // Class 42 is syntax, names and types. Class 22 is values that do not fit the column's type.
      if (state === null || !/^(42|22)/.test(state)) throw fromPostgres(error, { what: 'try the condition' });
      throw new TidegateError('refused', `PostgreSQL cannot evaluate the condition (SQLSTATE ${state})`, {
        cause: error,
        hint: "Use comparisons that mean the same at source and target, for example: AptDateTime >= '2026-01-01'.",
      });
    }
  }
}
