import { hash } from 'node:crypto';
import type { ConnectionOptions } from 'mysql2';
import type { ClientConfig } from 'pg';
import type { ComparedColumn } from './compare/canonical.ts';
import { type CanonicalRow, SourceRows, type SourceTable } from './compare/source-rows.ts';
import { TargetRows } from './compare/target-rows.ts';

export interface Comparison {
  readonly source: ConnectionOptions;
  readonly database: string;
  readonly target: ClientConfig;
  readonly schema: string;
  /** Tables to compare; all base tables of the source's database by default. */
  readonly tables?: readonly string[];
}

/** Both ends of one table. Equal is only what has neither `missing` nor `extra` nor `different`. */
export interface TableComparison {
  readonly table: string;
  readonly sourceRows: number;
  readonly targetRows: number;
  /** Rows that only the source has; at least 1 when the target lacks the table. */
  readonly missing: number;
  /** Rows that only the target has, and second rows of one key there. */
  readonly extra: number;
  /** Rows of one key with other values; at least 1 when the target lacks a column. */
  readonly different: number;
  /** What is wrong with the first few rows: kind, key and column names, no other value. */
  readonly examples: readonly string[];
}

/**
 * Compares every row of every table by value, independently of the code that copied them. Neither end may be written to
 * meanwhile. A table is streamed from both ends; in memory stay its keys and one hash for each.
 */
export async function compareDatabases(comparison: Comparison): Promise<TableComparison[]> {
  const source = await SourceRows.open(comparison.source, comparison.database);
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
/** Stands for the hash of a row whose key was met at the target; no hash is negative. */
const met = -1;

async function compareTable(source: SourceRows, target: TargetRows, table: SourceTable): Promise<TableComparison> {
  const types = await target.columns(table.name);
  const columns = table.columns.map((column) => ({ ...column, target: types?.get(column.name) ?? null }));
  const present = columns.filter((column) => column.target !== null);
  const lacking = columns.filter((column) => column.target === null).map(({ name }) => name);
  const noKey = table.key.some((name) => lacking.includes(name));
  if (types === undefined || noKey) {
    const sourceRows = await count(source.rows(table.name, columns.slice(0, 1)));
    const targetRows = types === undefined ? 0 : await count(target.rows(table.name, present.slice(0, 1)));
    const problem =
      types === undefined ? 'the target lacks the table' : `the target lacks the key ${lacking.join(', ')}`;
    return {
      table: table.name,
      sourceRows,
      targetRows,
      missing: Math.max(1, sourceRows),
      extra: targetRows,
      different: 0,
      examples: [problem],
    };
  }

  const keyAt = table.key.map((name) => present.findIndex((column) => column.name === name));
  const hashes = new Map<string, number>();
  let sourceRows = 0;
  let twice = 0;
  for await (const row of source.rows(table.name, present)) {
    sourceRows++;
    const key = encoded(row, keyAt);
    // Only a table without a primary key has equal keys, and then the rows are equal as a whole: the copies are numbered.
    let copy = 1;
    while (hashes.has(copyKey(key, copy))) copy++;
    if (copy > 1) twice++;
    hashes.set(copyKey(key, copy), rowHash(row));
  }

  const copies = twice > 0;
  let targetRows = 0;
  let matched = 0;
  let different = 0;
  const extraKeys: string[] = [];
  const differentKeys = new Set<string>();
  let extra = 0;
  for await (const row of target.rows(table.name, present)) {
    targetRows++;
    const key = encoded(row, keyAt);
    let copy = 1;
    if (copies) while (hashes.get(copyKey(key, copy)) === met) copy++;
    const expected = hashes.get(copyKey(key, copy));
    if (expected === undefined || expected === met) {
      extra++;
      if (extraKeys.length < examplesOfAKind)
        extraKeys.push(`${expected === met ? 'second row' : 'extra'} ${shown(row, keyAt)}`);
      continue;
    }
    matched++;
    hashes.set(copyKey(key, copy), met);
    if (expected === rowHash(row)) continue;
    different++;
    if (differentKeys.size < examplesOfAKind) differentKeys.add(key);
  }

  const missing = sourceRows - matched;
  const examples = [...extraKeys];
  if (lacking.length > 0) examples.push(`the target lacks the columns ${lacking.join(', ')}`);
  if (missing > 0) examples.push(...missingKeys(hashes));
  if (differentKeys.size > 0) {
    examples.push(...(await differingColumns(source, target, table.name, present, keyAt, differentKeys)));
  }
  if (lacking.length > 0) different = Math.max(1, matched);
  return { table: table.name, sourceRows, targetRows, missing, extra, different, examples };
}

/** A second look at the few rows that differ, to name their columns. */
async function differingColumns(
  source: SourceRows,
  target: TargetRows,
  table: string,
  columns: readonly ComparedColumn[],
  keyAt: readonly number[],
  keys: ReadonlySet<string>,
): Promise<string[]> {
  const rows = new Map<string, CanonicalRow>();
  for await (const row of source.rows(table, columns)) {
    const key = encoded(row, keyAt);
    if (keys.has(key)) rows.set(key, row);
  }
  const examples: string[] = [];
  for await (const row of target.rows(table, columns)) {
    const expected = rows.get(encoded(row, keyAt));
    if (expected === undefined) continue;
    const names = columns.filter((_column, index) => row[index] !== expected[index]).map(({ name }) => name);
    examples.push(`different ${shown(row, keyAt)}: ${names.join(', ')}`);
  }
  return examples;
}

async function count(rows: AsyncIterable<unknown>): Promise<number> {
  let total = 0;
  for await (const _row of rows) total++;
  return total;
}

/** The values at `at` with their lengths, so that no two lists of values have one encoding. */
function encoded(row: CanonicalRow, at: readonly number[]): string {
  let text = '';
  for (const index of at) {
    const value = row[index] ?? null;
    text += value === null ? '-' : `${value.length}:${value}`;
  }
  return text;
}

function copyKey(key: string, copy: number): string {
  return copy === 1 ? key : `${key}#${copy}`;
}

/** 52 bits of a digest of the whole row. */
function rowHash(row: CanonicalRow): number {
  const all = encoded(row, [...row.keys()]);
  return Number.parseInt(hash('sha1', all).slice(0, 13), 16);
}

function shown(row: CanonicalRow, at: readonly number[]): string {
  return `(${at.map((index) => abbreviated(row[index] ?? 'null')).join(', ')})`;
}

function missingKeys(hashes: ReadonlyMap<string, number>): string[] {
  const examples: string[] = [];
  for (const [key, value] of hashes) {
    if (value === met) continue;
    examples.push(`missing ${shownKey(key)}`);
    if (examples.length === examplesOfAKind) break;
  }
  return examples;
}

/** The values that `encoded` put together. */
function shownKey(key: string): string {
  const values: string[] = [];
  for (let at = 0; at < key.length;) {
    const lengthEnd = key.indexOf(':', at);
    if (key[at] === '-' || key[at] === '#' || lengthEnd < 0) {
      at++;
      continue;
    }
    const end = lengthEnd + 1 + Number(key.slice(at, lengthEnd));
    values.push(abbreviated(key.slice(lengthEnd + 1, end)));
    at = end;
  }
  return `(${values.join(', ')})`;
}

function abbreviated(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
