import type { ColumnRule } from '../../change/column-rule.ts';
import type { TableSchema } from '../../change/table-schema.ts';
import type { Config } from '../../config/config.ts';
import { ruleFinder } from '../../config/column-rules.ts';
import { matchesAny, tableFilter } from '../../config/table-filter.ts';
import type { CatalogTable } from '../../source/catalog/catalog.ts';
import { type TableCodec, isOmitted, tableCodec } from '../../mapping/table-codec.ts';
import { loadedAtColumn } from '../../target/rows/tables.ts';

export interface PlannedTable {
  readonly codec: TableCodec;
  readonly engine: string;
  readonly estimatedRows: number;
}

export interface LeftOutTable {
  readonly table: string;
  readonly reasons: readonly string[];
  /** A rule of the operator's does not fit its column. */
  readonly isMisruled: boolean;
  /** Columns without which the table could be carried; none where there is more in the way. */
  readonly omittable: readonly string[];
}

/** What the operator wants: which tables, and what of their columns. */
export interface Selection {
  readonly isSelected: (table: string) => boolean;
  readonly ruleOf: (table: string, column: string) => ColumnRule | undefined;
  /** Tables that are copied as a whole where they have no key. */
  readonly isRefreshed: (table: string) => boolean;
}

export interface TablePlan {
  /** Tables to stream. */
  readonly planned: PlannedTable[];
  /** Tables without a key, to be copied as a whole. */
  readonly refreshed: PlannedTable[];
  readonly leftOut: LeftOutTable[];
}

export function selectionOf({ tables, columnRules }: Pick<Config, 'tables' | 'columnRules'>): Selection {
  return { isSelected: tableFilter(tables), ruleOf: ruleFinder(columnRules), isRefreshed: matchesAny(tables.refresh) };
}

/** PostgreSQL cuts longer names off (NAMEDATALEN), which could make two of one. */
const maxNameBytes = 63;

/** Which tables of the catalog are carried, by which rules, and why the others are not. */
export function planTables(
  catalog: readonly CatalogTable[],
  { isSelected, isRefreshed, ruleOf }: Selection,
): TablePlan {
  const planned: PlannedTable[] = [];
  const refreshed: PlannedTable[] = [];
  const leftOut: LeftOutTable[] = [];
  for (const { schema: described, engine, estimatedRows, obstacles } of catalog) {
    if (!isSelected(described.table)) continue;
    const schema = withRules(described, ruleOf);
    const codec = tableCodec(schema);
    const refused = 'refused' in codec ? codec.refused : [];
    // An obstacle may be why the rest is not known.
    const wantsRefresh = schema.primaryKey.length === 0 && isRefreshed(schema.table);
    const reasons = obstacles.length > 0 ? [...obstacles] : inTheWay(schema, wantsRefresh);
    if (!('refused' in codec))
      for (const index of codec.schema.primaryKey)
        if (codec.codecs[index]?.keyLiteral === undefined)
          reasons.push(`key column ${codec.schema.columns[index]?.name} cannot bound a chunk`);
    if (!('refused' in codec) && reasons.length === 0)
      (wantsRefresh ? refreshed : planned).push({ codec, engine, estimatedRows });
    else
      leftOut.push({
        table: schema.table,
        reasons: [...reasons, ...refused.map(({ column, reason }) => `column ${column}: ${reason}`)],
        isMisruled: refused.some(({ fault }) => fault === 'rule'),
        omittable: reasons.length > 0 ? [] : omittable(schema, refused),
      });
  }
  return { planned, refreshed, leftOut };
}

function withRules(schema: TableSchema, ruleOf: Selection['ruleOf']): TableSchema {
  const columns = schema.columns.map((column) => {
    const rule = ruleOf(schema.table, column.name);
    return rule === undefined ? column : { ...column, rule };
  });
  return { ...schema, columns };
}

/** Why a table cannot be carried, whatever the types of its columns are. */
function inTheWay(schema: TableSchema, needsNoKey: boolean): string[] {
  const reasons: string[] = [];
  if (schema.primaryKey.length === 0 && !needsNoKey)
    reasons.push(
      'it has no primary key, and no unique index of whole not-null columns instead, so its rows cannot be told apart',
    );
  const columns = schema.columns.filter((column) => !isOmitted(column)).map(({ name }) => name);
  for (const name of [schema.table, ...columns].filter((name) => Buffer.byteLength(name) > maxNameBytes))
    reasons.push(`the name ${name} is longer than PostgreSQL's ${maxNameBytes} bytes`);
  if (columns.includes(loadedAtColumn)) reasons.push(`it has a column ${loadedAtColumn}, which Tidegate adds itself`);
  return reasons;
}

/** Columns whose types alone are in the way; none where one of them is in the key. */
function omittable(
  { columns, primaryKey }: TableSchema,
  refused: readonly { readonly column: string; readonly fault: 'type' | 'rule' }[],
): string[] {
  const isKey = (name: string) => primaryKey.some((index) => columns[index]?.name === name);
  return refused.every(({ column, fault }) => fault === 'type' && !isKey(column))
    ? refused.map(({ column }) => column)
    : [];
}
