import type { Finding } from '../change/finding.ts';
import type { TableSchema } from '../change/table-schema.ts';
import type { Config } from '../config/config.ts';
import { tableFilter } from '../config/table-filter.ts';
import type { CatalogTable } from '../source/catalog.ts';
import { quoteName } from '../source/identifiers.ts';
import { planTables } from './table-plan.ts';

/** Which tables will be carried, which will not and why, and patterns that mean none. */
export function checkTables(
  catalog: readonly CatalogTable[],
  config: Config,
): { readonly findings: Finding[]; readonly tables: string[] } {
  const { planned, leftOut } = planTables(catalog, tableFilter(config.tables));
  const keyless = new Set(
    catalog.filter(({ schema }) => schema.primaryKey.length === 0).map(({ schema }) => schema.table),
  );
  const findings: Finding[] = leftOut.map(({ table, reasons }) => ({
    level: 'warning',
    subject: `table ${table}`,
    message: `left out: ${reasons.join('; ')}`,
    remedy: `${
      keyless.has(table)
        ? `ask whoever owns the source's schema for a key, as in: alter table ${quoteName(table)} add column id bigint not null auto_increment primary key;`
        : 'ask whoever owns the source for a change there'
    } or add ${table} to TABLES_EXCLUDE to say that this is meant`,
  }));
  findings.push(
    ...planned.flatMap(({ codec }) => unloggedChanges(codec.schema)),
    ...patternsOfNothing(catalog, config.tables),
  );
  findings.push(
    planned.length === 0
      ? {
          level: 'error',
          subject: 'tables',
          message: `no table of ${config.source.database} can be carried`,
          remedy: 'look at SOURCE_DB_NAME, TABLES_INCLUDE and TABLES_EXCLUDE, and at what the reader may SELECT',
        }
      : {
          level: 'ok',
          subject: 'tables',
          message: `${planned.length} tables will be carried, ${leftOut.length} left out`,
        },
  );
  return { findings, tables: planned.map(({ codec }) => codec.schema.table) };
}

/** Foreign keys that change a table below the binlog; the table is carried until one of them may have done so. */
function unloggedChanges({ table, cascades = [] }: TableSchema): Finding[] {
  return cascades.map(({ constraint, parent, onDelete, onUpdate }) => ({
    level: 'warning',
    subject: `table ${table}`,
    message: `foreign key ${constraint} changes its rows when ${parent} ${onDelete ? 'loses a row' : ''}${onDelete && onUpdate ? ' or ' : ''}${onUpdate ? 'changes a key' : ''}, which this server does not log: then the table will be parked`,
    remedy: `MySQL 9.6 and later log it; or add ${table} to TABLES_EXCLUDE`,
  }));
}

/** Most likely misspelt. An exclusion may be meant for tables that only come and go. */
function patternsOfNothing(catalog: readonly CatalogTable[], { include }: Config['tables']): Finding[] {
  return include
    .filter((glob) => {
      const matches = tableFilter({ include: [glob], exclude: [] });
      return !catalog.some(({ schema }) => matches(schema.table));
    })
    .map((glob) => ({
      level: 'warning',
      subject: 'tables',
      message: `${glob} in TABLES_INCLUDE is no table that the reader can see`,
      remedy: 'correct TABLES_INCLUDE',
    }));
}
