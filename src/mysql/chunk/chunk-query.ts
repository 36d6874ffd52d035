import type { TableCodec } from '../../mapping/table-codec.ts';
import { quoteName } from '../identifiers.ts';

/** Keys as SQL literals, one per key column. The range starts after `after` and ends with `upTo`; null: unbounded. */
export interface SourceKeyRange {
  readonly after: readonly string[] | null;
  readonly upTo: readonly string[] | null;
}

/**
 * The select of the next chunk: up to `limit` rows in key order after the key `after`.
 *
 * A row comparison `(a, b) > (x, y)` would be shorter, but the optimizers derive no index range from it. They derive one from `a >= x and
 * (a > x or (a = x and b > y))`.
 */
export function chunkQuery(
  database: string,
  codec: TableCodec,
  after: readonly string[] | null,
  limit: number,
): string {
  const where = after === null ? '' : ` where ${bounded(keyNames(codec), after, '>')}`;
  return `${selectFrom(database, codec)}${where} order by ${keyNames(codec).join(', ')} limit ${limit}`;
}

/** The select of all rows of a table that has no key, in any order. */
export function wholeQuery(database: string, codec: TableCodec): string {
  return `select ${selected(codec)} from ${tableName(database, codec)}`;
}

/** The select of the rows of a range that meet a condition. assertPlainCondition must have allowed the condition. */
export function filterQuery(
  database: string,
  codec: TableCodec,
  { after, upTo }: SourceKeyRange,
  condition: string,
): string {
  const key = keyNames(codec);
  const bounds = [
    ...(after === null ? [] : [`(${bounded(key, after, '>')})`]),
    ...(upTo === null ? [] : [`(${bounded(key, upTo, '<')} or ${equal(key, upTo)})`]),
  ];
  return `${selectFrom(database, codec)} where ${[...bounds, `(${condition})`].join(' and ')} order by ${key.join(', ')}`;
}

/** The select of the rows that have these keys, exist, and meet a condition. assertPlainCondition must have allowed the condition. */
export function lookupQuery(
  database: string,
  codec: TableCodec,
  keys: readonly (readonly string[])[],
  condition: string | null,
): string {
  const names = keyNames(codec);
  const [name] = names;
  const wanted =
    keys.length === 0
      ? 'false'
      : names.length === 1
        ? `${name} in (${keys.map(([literal]) => literal).join(', ')})`
        : keys.map((literals) => `(${equal(names, literals)})`).join(' or ');
  const where = condition === null ? wanted : `(${wanted}) and (${condition})`;
  return `${selectFrom(database, codec)} where ${where} order by ${names.join(', ')}`;
}

function selectFrom(database: string, codec: TableCodec): string {
  const { keyIndex } = codec.schema;
  const index = keyIndex === undefined ? 'primary' : quoteName(keyIndex);
  return `select ${selected(codec)} from ${tableName(database, codec)} force index (${index})`;
}

function selected({ schema, codecs }: TableCodec): string {
  return schema.columns
    .map(({ name }, index) => codecs[index]?.select?.(quoteName(name)) ?? quoteName(name))
    .join(', ');
}

function tableName(database: string, { schema }: TableCodec): string {
  return `${quoteName(database)}.${quoteName(schema.table)}`;
}

function keyNames({ schema }: TableCodec): string[] {
  return schema.primaryKey.map((index) => quoteName(schema.columns[index]?.name ?? ''));
}

function equal(key: readonly string[], literals: readonly string[]): string {
  return key.map((column, index) => `${column} = ${literals[index]}`).join(' and ');
}

function bounded(key: readonly string[], bound: readonly string[], than: '>' | '<'): string {
  const [column = '', ...restColumns] = key;
  const [value = '', ...restValues] = bound;
  if (restColumns.length === 0) return `${column} ${than} ${value}`;
  return `${column} ${than}= ${value} and (${column} ${than} ${value} or (${column} = ${value} and ${bounded(restColumns, restValues, than)}))`;
}
