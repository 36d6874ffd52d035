import { sql } from 'kysely';
import type { TableCodec } from '../../mapping/table-codec.ts';
import { quoteIdentifier } from './tables.ts';

/** A key as text in PostgreSQL's input and output format, one value for each column. */
export type KeyText = readonly string[];

/** Keys behind `after` and up to `upTo`, in PostgreSQL's order; null is unbounded. */
export interface TargetKeyRange {
  readonly after: KeyText | null;
  readonly upTo: KeyText | null;
}

/** SQL for the key of a table. `side` is the name of the table or list in the statement. */
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

  /** The first key column, which is never null in a row. */
  first(side: string): string {
    return `${side}.${this.#columns[0]?.name}`;
  }

  columns(side: string): string {
    return this.#columns.map(({ name }) => `${side}.${name}`).join(', ');
  }

  /** An array of the key values as PostgreSQL prints them. */
  printed(side: string): string {
    return `array[${this.#columns.map(({ name }) => `${side}.${name}::text`).join(', ')}]`;
  }

  same(a: string, b: string): string {
    return this.#columns.map(({ name }) => `${a}.${name} = ${b}.${name}`).join(' and ');
  }

  /** Whether the key equals the key in a row of `list(keys, given)`. */
  isGiven(side: string, given: string): string {
    return this.#columns.map(({ name, type }, i) => `${side}.${name} = ${given}.k${i}::${type}`).join(' and ');
  }

  /** The key values in a row of `list(keys, given)`. */
  given(given: string): string {
    return this.#columns.map(({ type }, i) => `${given}.k${i}::${type}`).join(', ');
  }

  /** Keys as a list of rows with columns k0, k1 … and their number n, from 1. */
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

  /** The same as `inRange`, for statements that take no parameters. */
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
