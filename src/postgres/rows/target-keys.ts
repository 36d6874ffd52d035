import { sql } from 'kysely';
import { fromPostgres, sqlStateOf } from '../../errors/postgres-errors.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import type { TargetSession } from '../session.ts';
import { type KeyText, TableKey } from './table-key.ts';
import { quoteTable } from './tables.ts';

/** The keys that a target table has. */
export class TargetKeys {
  readonly #session: TargetSession;
  readonly #table: string;
  readonly #key: TableKey;

  constructor(session: TargetSession, replica: string, codec: TableCodec) {
    this.#session = session;
    this.#table = quoteTable(replica, codec.schema.table);
    this.#key = new TableKey(codec);
  }

  /** The next ones in the target's own order, of rows that meet the condition. */
  async next(after: KeyText | null, condition: string | null, limit: number): Promise<KeyText[]> {
    return await this.#session.guarded(async () => {
      const { rows } = await sql<{ key: string[] }>`
        select ${sql.raw(this.#key.printed('t'))} as key from ${sql.raw(this.#table)} t
         where ${this.#key.inRange('t', { after, upTo: null })} and ${sql.raw(condition ?? 'true')}
         order by ${sql.raw(this.#key.columns('t'))} limit ${limit}`.execute(this.#session.db);
      return rows.map(({ key }) => key);
    });
  }

  /** Which of `keys` are among `others`, as PostgreSQL compares them; by their index. */
  async among(keys: readonly KeyText[], others: readonly KeyText[]): Promise<ReadonlySet<number>> {
    if (keys.length === 0 || others.length === 0) return new Set();
    return await this.#session.guarded(async () => {
      const { rows } = await sql<{ n: string }>`
        select a.n from ${this.#key.list(keys, 'a')}
         where (${sql.raw(this.#key.given('a'))}) in
               (select ${sql.raw(this.#key.given('b'))} from ${this.#key.list(others, 'b')})`.execute(this.#session.db);
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
}
