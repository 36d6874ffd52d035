import type { CaseResult } from './oracle.ts';
import { paths } from './type-case.ts';

/** The results of every case on one pair of servers. */
export interface Column {
  readonly source: string;
  readonly target: string;
  readonly results: readonly CaseResult[];
}

const pathCount = Object.keys(paths).length;

/**
 * A markdown table of types by source. A cell shows how many values on all paths are equal, or that the type is not carried
 * there. A result that all targets share appears once.
 */
export function cellTable(columns: readonly Column[]): string {
  const types = [...new Set(columns.flatMap(({ results }) => results.map(({ type }) => type)))];
  const bySource = [...Map.groupBy(columns, ({ source }) => source)];
  const line = (name: string, wanted: (one: CaseResult) => boolean) => [
    name,
    ...bySource.map(([, of]) => agreed(of.map(({ target, results }) => [target, cell(results.filter(wanted))]))),
  ];
  const lines = [
    ['type', ...bySource.map(([source]) => source)],
    ['---', ...bySource.map(() => '---')],
    ...types.map((type) => line(type, (one) => one.type === type)),
    line('all', () => true),
  ];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function agreed(cells: readonly (readonly [target: string, cell: string])[]): string {
  const [first] = cells;
  if (first !== undefined && cells.every(([, cell]) => cell === first[1])) return first[1];
  return cells.map(([target, cell]) => `${target}: ${cell}`).join('; ');
}

function cell(results: readonly CaseResult[]): string {
  if (results.length === 0) return '–';
  const replicated = results.filter(({ refused }) => refused === null);
  if (replicated.length === 0) return 'not carried';
  const rows = replicated.reduce((sum, { values }) => sum + values * pathCount, 0);
  const unequal = replicated.filter(({ problems }) => problems.length > 0);
  return unequal.length === 0 ? `${rows}` : `UNEQUAL: ${unequal.map(({ name }) => name).join(', ')}`;
}
