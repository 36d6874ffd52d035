import { expect, it } from 'vitest';
import { parseColumnRules } from '../../config/column-rules.ts';
import type { Config } from '../../config/config.ts';
import type { CatalogTable } from '../../mysql/catalog/catalog.ts';
import { checkTables } from './check-tables.ts';

const table = (name: string, primaryKey: readonly number[], columns: readonly string[] = ['id']): CatalogTable => ({
  engine: 'MyISAM',
  estimatedRows: 1,
  obstacles: [],
  isDamaged: false,
  columnObstacles: new Map(),
  schema: {
    table: name,
    primaryKey,
    columns: columns.map((column) => ({
      name: column,
      type: 'bigint',
      fullType: 'bigint(20)',
      nullable: false,
      charset: null,
      length: null,
      precision: 19,
      scale: 0,
      fraction: 0,
    })),
  },
});
const catalog = {
  tables: [table('patient', [0]), table('keyless', []), table('stamped', [0], ['id', '_loaded_at'])],
  others: new Map([['patient_names', 'view']]),
};
const check = (
  include: readonly string[],
  exclude: readonly string[],
  rules = '',
  { halt, refresh }: { halt?: readonly string[]; refresh?: readonly string[] } = {},
) =>
  checkTables(catalog, {
    source: { database: 'clinic' },
    tables: { include, exclude, halt: halt ?? [], refresh: refresh ?? [] },
    columnRules: parseColumnRules(rules).rules,
  } as unknown as Config);

it('reports which tables are replicated, and for every other table why not and what to do', () => {
  const { findings, tables } = check([], []);
  expect(tables).toEqual(['patient']);
  expect(findings).toMatchObject([
    { level: 'warning', subject: 'table keyless', remedy: expect.stringContaining('alter table `keyless` add column') },
    { level: 'warning', subject: 'table stamped', message: expect.stringContaining('_loaded_at') },
    { level: 'ok', message: '1 tables will be replicated, 2 left out' },
  ]);
});

it('does not report excluded tables, and warns of a name that is no table', () => {
  // A pattern may be meant for tables that come later.
  expect(check([], ['k*', 'stamped', 'temp*']).findings).toMatchObject([
    { level: 'ok', message: 'temp* in TABLES_EXCLUDE is no table that the reader can see' },
    { level: 'ok' },
  ]);
  expect(check(['patient', 'patiens'], []).findings).toMatchObject([
    { level: 'warning', message: expect.stringContaining('patiens') },
    { level: 'ok' },
  ]);
});

it('explains a name that is no table, unless it also matches tables', () => {
  expect(check(['patient', 'patient_n*'], []).findings).toMatchObject([
    { level: 'warning', message: expect.stringContaining('means patient_names, which is a view') },
    { level: 'ok' },
  ]);
  expect(check(['patient*'], []).findings).toMatchObject([{ level: 'ok' }]);
});

it('reports an error when no table is left to replicate', () => {
  expect(check(['keyless'], []).findings.at(-1)).toMatchObject({ level: 'error', subject: 'tables' });
});

it('names each entry of a setting that matches no table, with the table that is spelled nearly like it', () => {
  const { findings } = check([], ['keyles', 'keyless', 'stamped'], '', {
    halt: ['Patint', 'patient', 'nosuch*'],
    refresh: ['patient', 'nosuch', 'k*'],
  });
  const warned = findings.filter(({ level }) => level === 'warning');
  expect(warned.map(({ message }) => message)).toEqual([
    'keyles in TABLES_EXCLUDE is no table that the reader can see; is keyless meant?',
    'Patint in TABLES_HALT is no table that the reader can see; is patient meant?',
    'nosuch* in TABLES_HALT is no table that the reader can see',
    'nosuch in TABLES_REFRESH is no table that the reader can see',
    'patient in TABLES_REFRESH has no effect: that table has a key and is streamed',
  ]);
  expect(warned.every(({ remedy }) => remedy !== undefined)).toBe(true);
});
