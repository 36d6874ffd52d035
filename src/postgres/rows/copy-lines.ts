import { fromCopyText } from '../../change/copy-text.ts';

/** Splits keys of a batch (COPY bytes as latin1, columns joined by tabs) into one array of values per column. */
export function keysToColumns(keys: readonly string[], columnCount: number): (string | null)[][] {
  const columns: (string | null)[][] = Array.from({ length: columnCount }, () => []);
  for (const key of keys) splitLine(Buffer.from(key, 'latin1').toString('utf8'), columns);
  return columns;
}

function splitLine(line: string, columns: (string | null)[][]): void {
  const fields = line.split('\t');
  for (let i = 0; i < columns.length; i++) (columns[i] as (string | null)[]).push(fromCopyText(fields[i] ?? ''));
}

/** The column values of a key of a batch. A key has no NULL. */
export function keyTextOf(key: string, columnCount: number): string[] {
  return keysToColumns([key], columnCount).map(([value]) => value ?? '');
}
