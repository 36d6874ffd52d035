import type { ColumnRule } from '../../definition/column-rule.ts';
import type { TableSchema } from '../../definition/table-schema.ts';
import type { Config } from '../../config/config.ts';
import { ruleFinder } from '../../config/column-rules.ts';
import { matchesAny, tableFilter } from '../../config/table-filter.ts';
import type { CatalogTable } from '../../mysql/catalog/catalog.ts';
import { type RefusedColumn, type TableCodec, isOmitted, tableCodec } from '../../mapping/table-codec.ts';
import { loadedAtColumn, stagedLine } from '../../postgres/rows/tables.ts';

export interface PlannedTable {
  readonly codec: TableCodec;
  readonly engine: string;
  readonly estimatedRows: number;
}

export interface LeftOutTable {
  readonly table: string;
  readonly reasons: readonly string[];
  /** The source cannot open it now. */
  readonly isDamaged: boolean;
  /** One of the operator's rules does not fit its column. */
  readonly isMisruled: boolean;
  /** Columns whose omission lets the table be replicated; empty if there are other reasons. */
  readonly omittable: readonly string[];
}

/** What the operator selects: the tables, and the rules for their columns. */
export interface Selection {
  readonly isSelected: (table: string) => boolean;
  readonly ruleOf: (table: string, column: string) => ColumnRule | undefined;
  /** Tables that are fully refreshed if they have no key. */
  readonly isFullRefresh: (table: string) => boolean;
}

export interface TablePlan {
  /** Tables to stream. */
  readonly planned: PlannedTable[];
  /** Tables without a key, to be fully refreshed. */
  readonly fullRefresh: PlannedTable[];
  readonly leftOut: LeftOutTable[];
  /** Tables that the operator does not select. */
  readonly unselected: string[];
}

export function selectionOf({ tables, columnRules }: Pick<Config, 'tables' | 'columnRules'>): Selection {
  return {
    isSelected: tableFilter(tables),
    ruleOf: ruleFinder(columnRules),
    isFullRefresh: matchesAny(tables.refresh),
  };
}

/** PostgreSQL truncates longer names (NAMEDATALEN), which could make two names equal. */
const maxNameBytes = 63;
/** System columns, which every table of PostgreSQL has (https://www.postgresql.org/docs/current/ddl-system-columns.html). */
const systemColumns = new Set(['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid']);
/** PostgreSQL's limit (MaxHeapAttributeNumber) less two: the column that Tidegate adds, and the line number of a staged row. */
const maxColumns = 1_598;

/** Decides which tables of the catalog are replicated and by which rules, and why the others are not. */
export function planTables(
  catalog: readonly CatalogTable[],
  { isSelected, isFullRefresh, ruleOf }: Selection,
): TablePlan {
  const planned: PlannedTable[] = [];
  const fullRefresh: PlannedTable[] = [];
  const leftOut: LeftOutTable[] = [];
  const unselected: string[] = [];
  for (const { schema: described, engine, estimatedRows, obstacles, isDamaged, columnObstacles } of catalog) {
    if (!isSelected(described.table)) {
      unselected.push(described.table);
      continue;
    }
    const schema = withRules(described, ruleOf);
    const codec = tableCodec(schema);
    const refused = [...('refused' in codec ? codec.refused : []), ...columnConflicts(schema, columnObstacles)];
    // A conflict that the catalog names can be the reason that the rest is unknown. Then it is reported alone.
    const wantsRefresh = schema.primaryKey.length === 0 && isFullRefresh(schema.table);
    const reasons = obstacles.length > 0 ? [...obstacles] : tableConflicts(schema, wantsRefresh);
    if (!('refused' in codec))
      for (const index of codec.schema.primaryKey)
        if (codec.codecs[index]?.keyLiteral === undefined)
          reasons.push(`key column ${codec.schema.columns[index]?.name} cannot bound a chunk`);
    if (!('refused' in codec) && reasons.length + refused.length === 0)
      (wantsRefresh ? fullRefresh : planned).push({ codec, engine, estimatedRows });
    else
      leftOut.push({
        table: schema.table,
        reasons: [...reasons, ...refused.map(({ column, reason }) => `column ${column}: ${reason}`)],
        isDamaged,
        isMisruled: refused.some(({ fault }) => fault === 'rule'),
        omittable: reasons.length > 0 ? [] : omittable(schema, refused),
      });
  }
  return { planned, fullRefresh, leftOut, unselected };
}

function withRules(schema: TableSchema, ruleOf: Selection['ruleOf']): TableSchema {
  const columns = schema.columns.map((column) => {
    const rule = ruleOf(schema.table, column.name);
    return rule === undefined ? column : { ...column, rule };
  });
  return { ...schema, columns };
}

/** Why a table cannot be replicated, whatever the types of its columns are. */
function tableConflicts(schema: TableSchema, needsNoKey: boolean): string[] {
  const reasons: string[] = [];
  if (schema.primaryKey.length === 0 && !needsNoKey)
    reasons.push(
      'it has no primary key, and no unique index of whole not-null columns, so its rows cannot be identified',
    );
  const tooLong = lengthOfName(schema.table);
  if (tooLong !== null) reasons.push(tooLong);
  const count = schema.columns.filter((column) => !isOmitted(column)).length;
  if (count > maxColumns)
    reasons.push(
      `it has ${count} columns, and a table of PostgreSQL holds at most ${maxColumns} besides ${loadedAtColumn}: leave some out by the rule omit`,
    );
  return reasons;
}

/** Columns whose values are unavailable, and columns whose names PostgreSQL does not accept or Tidegate uses itself. */
function columnConflicts({ columns }: TableSchema, obstacles: ReadonlyMap<string, string>): RefusedColumn[] {
  return columns
    .filter((column) => !isOmitted(column))
    .flatMap(({ name }): RefusedColumn[] => {
      const reason =
        obstacles.get(name) ??
        lengthOfName(name) ??
        (systemColumns.has(name) ? 'PostgreSQL has a system column of that name in every table' : null) ??
        (name === loadedAtColumn || name === stagedLine ? 'Tidegate adds a column of that name itself' : null);
      return reason === null ? [] : [{ column: name, reason, fault: 'column' }];
    });
}

function lengthOfName(name: string): string | null {
  return Buffer.byteLength(name) > maxNameBytes
    ? `the name ${name} is longer than PostgreSQL's ${maxNameBytes} bytes`
    : null;
}

/** The refused columns if they are the only reason; empty if one of them is in the key, or its rule is wrong. */
function omittable({ columns, primaryKey }: TableSchema, refused: readonly RefusedColumn[]): string[] {
  const isKey = (name: string) => primaryKey.some((index) => columns[index]?.name === name);
  return refused.every(({ column, fault }) => fault === 'column' && !isKey(column))
    ? refused.map(({ column }) => column)
    : [];
}
