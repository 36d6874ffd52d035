import type { Finding } from '../../change/finding.ts';
import type { TableSchema } from '../../definition/table-schema.ts';
import type { Config } from '../../config/config.ts';
import { ruleFinder } from '../../config/column-rules.ts';
import { formatRule } from '../../definition/column-rule.ts';
import { tableFilter } from '../../config/table-filter.ts';
import type { Catalog, CatalogTable } from '../../mysql/catalog/catalog.ts';
import { quoteName } from '../../mysql/identifiers.ts';
import { type LeftOutTable, planTables, selectionOf } from '../begin/table-plan.ts';

/** Which tables will be carried, which will not and why, and patterns that mean none. */
export function checkTables(
  { tables: catalog, others }: Catalog,
  config: Config,
): { readonly findings: Finding[]; readonly tables: string[] } {
  const { planned, fullRefresh, leftOut } = planTables(catalog, selectionOf(config));
  const keyless = new Set(
    catalog
      .filter(({ schema, obstacles }) => schema.primaryKey.length === 0 && obstacles.length === 0)
      .map(({ schema }) => schema.table),
  );
  const findings = leftOut.map((table) => leftOutFinding(table, keyless.has(table.table)));
  findings.push(
    ...fullRefresh.map(({ codec }): Finding => fullRefreshFinding(codec.schema.table, config.refreshEveryMinutes)),
    ...planned.flatMap(({ codec }) => unloggedChanges(codec.schema)),
    ...patternsOfNothing(catalog, others, config.tables),
    ...rulesOfNothing(
      catalog,
      [
        ...[...planned, ...fullRefresh].map(({ codec }) => codec.schema),
        ...leftOut.filter(({ isMisruled }) => isMisruled),
      ],
      config.columnRules,
    ),
  );
  findings.push(
    planned.length + fullRefresh.length === 0
      ? {
          level: 'error',
          subject: 'tables',
          message: `no table of ${config.source.database} can be carried`,
          remedy: 'look at SOURCE_DB_NAME, TABLES_INCLUDE and TABLES_EXCLUDE, and at what the reader may SELECT',
        }
      : {
          level: 'ok',
          subject: 'tables',
          message: `${planned.length + fullRefresh.length} tables will be carried, ${leftOut.length} left out`,
        },
  );
  return { findings, tables: [...planned, ...fullRefresh].map(({ codec }) => codec.schema.table) };
}

function fullRefreshFinding(table: string, minutes: number): Finding {
  return {
    level: 'ok',
    subject: `table ${table}`,
    message: `it has no key, so it is copied as a whole every ${minutes} minutes and is as old as that in between`,
  };
}

function leftOutFinding({ table, reasons, isMisruled, omittable }: LeftOutTable, isKeyless: boolean): Finding {
  const subject = `table ${table}`;
  if (isMisruled)
    return {
      level: 'error',
      subject,
      message: reasons.join('; '),
      remedy: 'correct COLUMN_RULES, where the first entry that matches counts',
    };
  return {
    level: 'warning',
    subject,
    message: `left out: ${reasons.join('; ')}`,
    remedy: `${wayIn(table, omittable, isKeyless)} or add ${table} to TABLES_EXCLUDE to say that this is meant`,
  };
}

/** What lets a table be carried. */
function wayIn(table: string, omittable: readonly string[], isKeyless: boolean): string {
  if (isKeyless)
    return `ask whoever owns the source's schema for a primary key or a unique index of not-null columns, as in: alter table ${quoteName(table)} add column id bigint not null auto_increment primary key; or name ${table} in TABLES_REFRESH, to have it copied as a whole now and then;`;
  if (omittable.length === 0) return 'ask whoever owns the source for a change there';
  return `to carry the rest of it, set COLUMN_RULES=${omittable.map((column) => `${asGlob(table)}.${asGlob(column)}=omit`).join(',')};`;
}

/** Foreign keys that change a table below the binlog; the table is carried until one of them may have done so. */
function unloggedChanges({ table, cascades = [] }: TableSchema): Finding[] {
  const leave = `add ${table} to TABLES_EXCLUDE`;
  return cascades.map(({ constraint, parent, onDelete, onUpdate }) => ({
    level: 'warning',
    subject: `table ${table}`,
    ...(constraint === null
      ? {
          message: `MERGE table ${parent} shows its rows, and the binlog does not tell of them what is changed through that: then the table will be suspended`,
          remedy: `change ${table} itself and not through ${parent}; or ${leave}`,
        }
      : {
          message: `foreign key ${constraint} changes its rows when ${parent} ${onDelete ? 'loses a row' : ''}${onDelete && onUpdate ? ' or ' : ''}${onUpdate ? 'changes a key' : ''}, which this server does not log: then the table will be suspended`,
          remedy: `MySQL 9.6 and later log it; or ${leave}`,
        }),
  }));
}

/** Most likely misspelt, or not a table. An exclusion may be meant for tables that only come and go. */
function patternsOfNothing(
  catalog: readonly CatalogTable[],
  others: Catalog['others'],
  { include }: Config['tables'],
): Finding[] {
  return include.flatMap((glob) => {
    const matches = tableFilter({ include: [glob], exclude: [] });
    if (catalog.some(({ schema }) => matches(schema.table))) return [];
    const [other] = [...others].filter(([name]) => matches(name));
    const is =
      other === undefined ? 'is no table that the reader can see' : `means ${other[0]}, which is a ${other[1]}`;
    const remedy =
      other === undefined ? 'correct TABLES_INCLUDE' : 'name the tables behind it instead: only tables are carried';
    return [{ level: 'warning', subject: 'tables', message: `${glob} in TABLES_INCLUDE ${is}`, remedy }];
  });
}

/** Entries that decide nothing: no column has such a name, or an earlier entry has them all. */
function rulesOfNothing(
  catalog: readonly CatalogTable[],
  tables: readonly { readonly table: string }[],
  patterns: Config['columnRules'],
): Finding[] {
  const carried = new Set(tables.map(({ table }) => table));
  const ruleOf = ruleFinder(patterns);
  const inForce = new Set(
    catalog
      .filter(({ schema }) => carried.has(schema.table))
      .flatMap(({ schema }) => schema.columns.map(({ name }) => ruleOf(schema.table, name))),
  );
  return patterns
    .filter(({ rule }) => !inForce.has(rule))
    .map(({ table, column, rule }) => ({
      level: 'warning',
      subject: 'column rules',
      message: `${table}.${column}=${formatRule(rule)} in COLUMN_RULES decides about no column of a table that is carried`,
      remedy: 'correct or remove it; of the entries that match a column the first one counts',
    }));
}

/** A name as COLUMN_RULES can hold it. */
function asGlob(name: string): string {
  return name.replaceAll(/[.,=]/g, '?');
}
