import { hash } from 'node:crypto';
import type { ConnectionOptions } from 'mysql2';
import type { ClientConfig } from 'pg';
import type { ComparedColumn } from './canonical.ts';
import { RowLedger } from './row-ledger.ts';
import { type CanonicalRow, SourceRows, type SourceTable } from './source-rows.ts';
import { TargetRows } from './target-rows.ts';

export interface Comparison {
  readonly source: ConnectionOptions;
  readonly database: string;
  readonly target: ClientConfig;
  readonly schema: string;
  /** Tables to compare; all base tables of the source's database by default. */
  readonly tables?: readonly string[];
  /** Reads the source through primary keys instead of by scans. */
  readonly byKey?: boolean;
}

/** The comparison of one table. A table is equal only if `missing`, `extra` and `different` are all 0. */
export interface TableComparison {
  readonly table: string;
  readonly sourceRows: number;
  readonly targetRows: number;
  /** Rows that only the source has; at least 1 when the target lacks the table. */
  readonly missing: number;
  /** Rows that only the target has, and further rows of the same key there. */
  readonly extra: number;
  /** Rows with the same key and other values; at least 1 when the target lacks a column. */
  readonly different: number;
  /**
   * Descriptions of the first few differences: kind, key and column names, and no other value. A table without a key shows no
   * key.
   */
  readonly examples: readonly string[];
}

/**
 * Compares every row of every table by value, independently of the code that copied them. Nothing may write to either end
 * meanwhile. The rows of a table are streamed; memory holds its keys and one hash per key.
 */
export async function compareDatabases(comparison: Comparison): Promise<TableComparison[]> {
  const source = await SourceRows.open(comparison.source, comparison.database, comparison.byKey === true);
  try {
    const target = await TargetRows.open(comparison.target, comparison.schema);
    try {
      const all = await source.tables();
      const wanted = comparison.tables ?? all.map(({ name }) => name);
      const compared: TableComparison[] = [];
      for (const name of wanted) {
        const table = all.find((candidate) => candidate.name === name);
        if (table === undefined) throw new Error(`the source has no table ${name}`);
        compared.push(await compareTable(source, target, table));
      }
      return compared;
    } finally {
      await target.close();
    }
  } finally {
    source.close();
  }
}

export function isEqual(table: TableComparison): boolean {
  return table.missing + table.extra + table.different === 0;
}

const examplesOfAKind = 5;

async function compareTable(source: SourceRows, target: TargetRows, table: SourceTable): Promise<TableComparison> {
  const types = await target.columns(table.name);
  const columns = table.columns.map((column) => ({ ...column, target: types?.get(column.name) ?? null }));
  const present = columns.filter((column) => column.target !== null);
  const lacking = columns.filter((column) => column.target === null).map(({ name }) => name);
  const lackingKey = table.key.filter((name) => lacking.includes(name));
  if (types === undefined || lackingKey.length > 0 || present.length === 0) {
    const sourceRows = await count(source.rows(table, columns.slice(0, 1)));
    const targetRows = types === undefined ? 0 : await count(target.rows(table.name, present.slice(0, 1)));
    const key = lackingKey.length > 0 ? `key ${lackingKey.join(', ')}` : 'columns of the source';
    return {
      table: table.name,
      sourceRows,
      targetRows,
      missing: Math.max(1, sourceRows),
      extra: targetRows,
      different: 0,
      examples: [`the target lacks the ${types === undefined ? 'table' : key}`],
    };
  }

  const keyAt = table.key.map((name) => present.findIndex((column) => column.name === name));
  const ledger = new RowLedger(examplesOfAKind);
  let sourceRows = 0;
  for await (const row of source.rows(table, present)) {
    sourceRows++;
    const hash = rowHash(row);
    ledger.addSource(keyOf(row, keyAt, hash), hash);
  }
  let targetRows = 0;
  for await (const row of target.rows(table.name, present)) {
    targetRows++;
    const hash = rowHash(row);
    ledger.addTarget(keyOf(row, keyAt, hash), hash);
  }

  const reconciled = ledger.reconcile();
  const { missing, extra } = reconciled;
  const named = (kind: string, keys: readonly string[]) => keys.map((key) => `${kind} ${shown(key, keyAt.length)}`);
  const examples = [...named('extra', reconciled.extraKeys), ...named('second row', reconciled.secondKeys)];
  if (lacking.length > 0) examples.push(`the target lacks the columns ${lacking.join(', ')}`);
  examples.push(...named('missing', reconciled.missingKeys));
  if (reconciled.differentKeys.length > 0) {
    const keys = new Set(reconciled.differentKeys);
    examples.push(...(await differingColumns(source, target, table, present, keyAt, keys)));
  }
  const different = lacking.length > 0 ? Math.max(1, sourceRows - missing) : reconciled.different;
  return { table: table.name, sourceRows, targetRows, missing, extra, different, examples };
}

/** Reads the few different rows again to name their columns. */
async function differingColumns(
  source: SourceRows,
  target: TargetRows,
  table: SourceTable,
  columns: readonly ComparedColumn[],
  keyAt: readonly number[],
  keys: ReadonlySet<string>,
): Promise<string[]> {
  const rows = new Map<string, CanonicalRow>();
  for await (const row of source.rows(table, columns)) {
    const key = encoded(row, keyAt);
    if (keys.has(key)) rows.set(key, row);
  }
  const examples = new Map<string, string>();
  for await (const row of target.rows(table.name, columns)) {
    const key = encoded(row, keyAt);
    const expected = rows.get(key);
    if (expected === undefined || examples.has(key)) continue;
    const names = columns.filter((_column, index) => row[index] !== expected[index]).map(({ name }) => name);
    if (names.length > 0) examples.set(key, `different ${shown(key, keyAt.length)}: ${names.join(', ')}`);
  }
  return [...examples.values()];
}

async function count(rows: AsyncIterable<unknown>): Promise<number> {
  let total = 0;
  for await (const _row of rows) total++;
  return total;
}

/** The identity of a row: its primary key, or the entire row in a table without one. */
function keyOf(row: CanonicalRow, keyAt: readonly number[], hash: string): string {
  return keyAt.length === 0 ? hash : encoded(row, keyAt);
}

/** The values at the indexes `at`, each with its length, so that different lists have different encodings. */
function encoded(row: CanonicalRow, at: readonly number[]): string {
  let text = '';
  for (const index of at) {
    const value = row[index] ?? null;
    text += value === null ? '-' : `${value.length}:${value}`;
  }
  return text;
}

/** The first 16 bytes of a digest of the entire row, one character each. */
function rowHash(row: CanonicalRow): string {
  const all = encoded(row, [...row.keys()]);
  return hash('sha1', all, 'binary').slice(0, 16);
}

/** The values of a key that `encoded` has encoded, for display. */
function shown(key: string, columns: number): string {
  if (columns === 0) return 'row of a table without a key';
  const values: string[] = [];
  for (let at = 0; at < key.length;) {
    if (key[at] === '-') {
      values.push('null');
      at++;
      continue;
    }
    const start = key.indexOf(':', at) + 1;
    const end = start + Number(key.slice(at, start - 1));
    values.push(abbreviated(key.slice(start, end)));
    at = end;
  }
  return `(${values.join(', ')})`;
}

function abbreviated(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
