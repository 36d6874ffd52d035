import type { TableCodec } from '../mapping/table-codec.ts';
import { quoteName } from './identifiers.ts';

/**
 * The select of the next chunk: up to `limit` rows in key order behind the key `after` (SQL literals, one per key column;
 * null: from the beginning).
 *
 * A row comparison `(a, b) > (x, y)` would say it in fewer words, but the optimizers read no index range from it; `a >= x and
 * (a > x or (a = x and b > y))` they do.
 */
export function chunkQuery(
  database: string,
  { schema, codecs }: TableCodec,
  after: readonly string[] | null,
  limit: number,
): string {
  const columns = schema.columns.map(({ name }, index) => codecs[index]?.select?.(quoteName(name)) ?? quoteName(name));
  const key = schema.primaryKey.map((index) => quoteName(schema.columns[index]?.name ?? ''));
  const where = after === null ? '' : ` where ${beyond(key, after)}`;
  const table = `${quoteName(database)}.${quoteName(schema.table)}`;
  return `select ${columns.join(', ')} from ${table} force index (primary)${where} order by ${key.join(', ')} limit ${limit}`;
}

function beyond(key: readonly string[], after: readonly string[]): string {
  const [column = '', ...restColumns] = key;
  const [value = '', ...restValues] = after;
  if (restColumns.length === 0) return `${column} > ${value}`;
  return `${column} >= ${value} and (${column} > ${value} or (${column} = ${value} and ${beyond(restColumns, restValues)}))`;
}
