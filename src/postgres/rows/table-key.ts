import { sql } from 'kysely';
import type { TableCodec } from '../../mapping/table-codec.ts';
import { quoteIdentifier } from './tables.ts';

/** A key as text that PostgreSQL takes or prints, a value for each column. */
export type KeyText = readonly string[];

/** Keys behind `after` and up to `upTo`, as PostgreSQL sorts them; null: unbounded. */
export interface TargetKeyRange {
  readonly after: KeyText | null;
  readonly upTo: KeyText | null;
}

/** What is said of a table's key in SQL. `side`: the name of the table or the list in the statement. */
export class TableKey {
  readonly #columns: readonly { readonly name: string; readonly type: string }[];

  constructor({ schema, codecs }: TableCodec) {
    this.#columns = schema.primaryKey.map((index) => ({
      name: quoteIdentifier(schema.columns[index]?.name ?? ''),
      type: codecs[index]?.pgType ?? '',
    }));
  }

  get width(): number {
    return this.#columns.length;
  }

  /** One of its columns, which is never null in a row. */
  first(side: string): string {
    return `${side}.${this.#columns[0]?.name}`;
  }

  columns(side: string): string {
    return this.#columns.map(({ name }) => `${side}.${name}`).join(', ');
  }

  /** An array of what PostgreSQL prints. */
  printed(side: string): string {
    return `array[${this.#columns.map(({ name }) => `${side}.${name}::text`).join(', ')}]`;
  }

  same(a: string, b: string): string {
    return this.#columns.map(({ name }) => `${a}.${name} = ${b}.${name}`).join(' and ');
  }

  /** Whether the key is the one in a row of `list(keys, given)`. */
  isGiven(side: string, given: string): string {
    return this.#columns.map(({ name, type }, i) => `${side}.${name} = ${given}.k${i}::${type}`).join(' and ');
  }

  /** The values in a row of `list(keys, given)`. */
  given(given: string): string {
    return this.#columns.map(({ type }, i) => `${given}.k${i}::${type}`).join(', ');
  }

  /** Keys as a list of rows with columns k0, k1 …, and with their number, from 1 on, as n. */
  list(keys: readonly KeyText[], name: string) {
    const arrays = sql.join(this.#columns.map((_, i) => sql`${keys.map((key) => key[i] ?? '')}::text[]`));
    const names = this.#columns.map((_, i) => `k${i}`).join(', ');
    return sql`unnest(${arrays}) with ordinality as ${sql.raw(`${name}(${names}, n)`)}`;
  }

  inRange(side: string, { after, upTo }: TargetKeyRange) {
    const names = sql.raw(this.columns(side));
    const values = (key: KeyText) =>
      sql.join(key.map((value, i) => sql`${value}::${sql.raw(this.#columns[i]?.type ?? '')}`));
    const lower = after === null ? sql`true` : sql`(${names}) > (${values(after)})`;
    return upTo === null ? lower : sql`${lower} and (${names}) <= (${values(upTo)})`;
  }

  /** The same for statements that take no parameters. */
  inRangeText(side: string, { after, upTo }: TargetKeyRange): string {
    const names = this.columns(side);
    const values = (key: KeyText) =>
      key.map((value, i) => `'${value.replaceAll("'", "''")}'::${this.#columns[i]?.type}`).join(', ');
    return [
      ...(after === null ? [] : [`(${names}) > (${values(after)})`]),
      ...(upTo === null ? [] : [`(${names}) <= (${values(upTo)})`]),
      'true',
    ].join(' and ');
  }
}
