import type { CaseResult } from './oracle.ts';
import { paths } from './type-case.ts';

/** What one server said of every case. */
export interface Column {
  readonly server: string;
  readonly results: readonly CaseResult[];
}

const pathCount = Object.keys(paths).length;

/** A markdown table, type by server: how many values on how many paths are equal, or that the type is not carried there. */
export function cellTable(columns: readonly Column[]): string {
  const types = [...new Set(columns.flatMap(({ results }) => results.map(({ type }) => type)))];
  const lines = [
    ['type', ...columns.map(({ server }) => server)],
    ['---', ...columns.map(() => '---')],
    ...types.map((type) => [type, ...columns.map(({ results }) => cell(results.filter((one) => one.type === type)))]),
    ['all', ...columns.map(({ results }) => cell(results))],
  ];
  return lines.map((line) => `| ${line.join(' | ')} |`).join('\n');
}

function cell(results: readonly CaseResult[]): string {
  if (results.length === 0) return '–';
  const carried = results.filter(({ refused }) => refused === null);
  if (carried.length === 0) return 'not carried';
  const rows = (of: readonly CaseResult[]) => of.reduce((sum, { values }) => sum + values * pathCount, 0);
  const unequal = carried.filter(({ problems }) => problems.length > 0);
  return unequal.length === 0 ? `${rows(carried)} equal` : `UNEQUAL: ${unequal.map(({ name }) => name).join(', ')}`;
}
