import type { Finding } from '../../errors/finding.ts';
import type { TableSchema } from '../../definition/table-schema.ts';
import type { Config } from '../../config/config.ts';
import { ruleFinder } from '../../config/column-rules.ts';
import { formatRule } from '../../definition/column-rule.ts';
import { nearest } from '../../config/near-misses.ts';
import { matchesAny } from '../../config/table-filter.ts';
import type { Catalog, CatalogTable } from '../../mysql/catalog/catalog.ts';
import { omittedBySession } from '../../mapping/table-codec.ts';
import { quoteName } from '../../mysql/identifiers.ts';
import { type LeftOutTable, planTables, selectionOf } from '../begin/table-plan.ts';

/** Finds which tables will be replicated, which will not and why, and entries of settings that match nothing. */
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
    ...[...planned, ...fullRefresh].flatMap(({ codec }) => leftOutColumns(codec.source)),
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
          message: `no table of ${config.source.database} can be replicated`,
          remedy: 'check SOURCE_DB_NAME, TABLES_INCLUDE and TABLES_EXCLUDE, and what the reader may SELECT',
        }
      : {
          level: 'ok',
          subject: 'tables',
          message: `${planned.length + fullRefresh.length} tables will be replicated, ${leftOut.length} left out`,
        },
  );
  return { findings, tables: [...planned, ...fullRefresh].map(({ codec }) => codec.schema.table) };
}

function fullRefreshFinding(table: string, minutes: number): Finding {
  return {
    level: 'ok',
    subject: `table ${table}`,
    message: `it has no key, so it is fully refreshed every ${minutes} minutes and does not change in between`,
  };
}

function leftOutFinding({ table, reasons, isMisruled, omittable }: LeftOutTable, isKeyless: boolean): Finding {
  const subject = `table ${table}`;
  if (isMisruled)
    return {
      level: 'error',
      subject,
      message: reasons.join('; '),
      remedy: 'correct COLUMN_RULES; the first entry that matches a column counts',
    };
  return {
    level: 'warning',
    subject,
    message: `left out: ${reasons.join('; ')}`,
    remedy: `${wayIn(table, omittable, isKeyless)} or add ${table} to TABLES_EXCLUDE to confirm that it is left out on purpose`,
  };
}

/** The change that makes a table replicable. */
function wayIn(table: string, omittable: readonly string[], isKeyless: boolean): string {
  if (isKeyless)
    return `ask the owner of the source's schema for a primary key or a unique index of not-null columns, as in: alter table ${quoteName(table)} add column id bigint not null auto_increment primary key; or name ${table} in TABLES_REFRESH for a regular full refresh;`;
  if (omittable.length === 0) return 'ask the owner of the source for a change there';
  return `to replicate the rest of it, set COLUMN_RULES=${omittable.map((column) => `${asGlob(table)}.${asGlob(column)}=omit`).join(',')};`;
}

/** Virtual columns that each session reads in its own way. The rule omit confirms that one is left out on purpose. */
function leftOutColumns(schema: TableSchema): Finding[] {
  return omittedBySession(schema).map(({ name, reason }) => ({
    level: 'warning',
    subject: `table ${schema.table}`,
    message: `column ${name} is left out: it is virtual, and its value depends on the session: ${reason}`,
    remedy: `ask the owner of the source to make it a stored column, compute it at the target, or set COLUMN_RULES=${asGlob(schema.table)}.${asGlob(name)}=omit to confirm that it is left out on purpose`,
  }));
}

/** Foreign keys that change a table without a binlog event. The table is replicated until one of them may have changed it. */
function unloggedChanges({ table, cascades = [] }: TableSchema): Finding[] {
  const leave = `add ${table} to TABLES_EXCLUDE`;
  return cascades.map(({ constraint, parent, onDelete, onUpdate }) => ({
    level: 'warning',
    subject: `table ${table}`,
    ...(constraint === null
      ? {
          message: `MERGE table ${parent} shows its rows, and the binlog does not record changes through it as changes of this table: after such a change the table will be suspended`,
          remedy: `change ${table} itself and not through ${parent}; or ${leave}`,
        }
      : {
          message: `foreign key ${constraint} changes its rows when ${parent} ${onDelete ? 'loses a row' : ''}${onDelete && onUpdate ? ' or ' : ''}${onUpdate ? 'changes a key' : ''}, which this server does not log: after such a change the table will be suspended`,
          remedy: `MySQL 9.6 and later log it; or ${leave}`,
        }),
  }));
}

/**
 * Entries of the settings that name tables, and match none: they are probably misspelt. A pattern of TABLES_EXCLUDE may be meant for
 * tables that come later.
 */
function patternsOfNothing(
  catalog: readonly CatalogTable[],
  others: Catalog['others'],
  { include, exclude, halt, refresh }: Config['tables'],
): Finding[] {
  const names = catalog.map(({ schema }) => schema.table);
  const of = (setting: string, globs: readonly string[], level: (glob: string) => Finding['level']) =>
    globs
      .filter((glob) => !names.some(matchesAny([glob])))
      .map((glob) => ofNothing(setting, glob, level(glob), names, others));
  return [
    ...of('TABLES_INCLUDE', include, () => 'warning'),
    ...of('TABLES_EXCLUDE', exclude, (glob) => (/[*?]/.test(glob) ? 'ok' : 'warning')),
    ...of('TABLES_HALT', halt, () => 'warning'),
    ...of('TABLES_REFRESH', refresh, () => 'warning'),
    ...refreshedInVain(catalog, refresh),
  ];
}

function ofNothing(
  setting: string,
  glob: string,
  level: Finding['level'],
  names: readonly string[],
  others: Catalog['others'],
): Finding {
  const [other] = [...others].filter(([name]) => matchesAny([glob])(name));
  const meant = nearest(glob, names);
  const is =
    other === undefined
      ? `is no table that the reader can see${meant === undefined ? '' : `; is ${meant} meant?`}`
      : `means ${other[0]}, which is a ${other[1]}`;
  const isView = other !== undefined && setting === 'TABLES_INCLUDE';
  return {
    ...{ level, subject: 'tables', message: `${glob} in ${setting} ${is}` },
    ...(level === 'ok'
      ? {}
      : {
          remedy: isView
            ? 'name the tables behind it instead: only tables are replicated'
            : `correct ${setting}, or remove the entry from it`,
        }),
  };
}

/** Tables with a key are streamed, whatever TABLES_REFRESH says. */
function refreshedInVain(catalog: readonly CatalogTable[], refresh: readonly string[]): Finding[] {
  return refresh.flatMap((glob) => {
    const matched = catalog.filter(({ schema }) => matchesAny([glob])(schema.table));
    if (matched.length === 0 || matched.some(({ schema }) => schema.primaryKey.length === 0)) return [];
    return [
      {
        ...{ level: 'warning' as const, subject: 'tables' },
        message: `${glob} in TABLES_REFRESH has no effect: ${matched.length === 1 ? 'that table has a key and is' : 'these tables have keys and are'} streamed`,
        remedy: 'remove it from TABLES_REFRESH',
      },
    ];
  });
}

/** Entries without effect: no column has such a name, or earlier entries match all such columns. */
function rulesOfNothing(
  catalog: readonly CatalogTable[],
  tables: readonly { readonly table: string }[],
  patterns: Config['columnRules'],
): Finding[] {
  const replicated = new Set(tables.map(({ table }) => table));
  const ruleOf = ruleFinder(patterns);
  const inForce = new Set(
    catalog
      .filter(({ schema }) => replicated.has(schema.table))
      .flatMap(({ schema }) => schema.columns.map(({ name }) => ruleOf(schema.table, name))),
  );
  return patterns
    .filter(({ rule }) => !inForce.has(rule))
    .map(({ table, column, rule }) => ({
      level: 'warning',
      subject: 'column rules',
      message: `${table}.${column}=${formatRule(rule)} in COLUMN_RULES has no effect: it matches no column of a replicated table, or earlier entries match them all`,
      remedy: 'correct or remove it; the first entry that matches a column counts',
    }));
}

/** A name as COLUMN_RULES can hold it. */
function asGlob(name: string): string {
  return name.replaceAll(/[.,=]/g, '?');
}
