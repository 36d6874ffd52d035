import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';

/** One line of the printed table. */
export interface BenchLine {
  readonly bench: string;
  readonly what: string;
  readonly value: string;
  /** The required value, if there is a bar. */
  readonly bar?: string;
  readonly met?: boolean;
}

export interface BenchResult {
  readonly lines: readonly BenchLine[];
  /** All measurements for the JSON file: milliseconds, rows per second, bytes; the names show the unit. */
  readonly figures: Readonly<Record<string, unknown>>;
}

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly node: string;
  readonly source: string;
  readonly target: string;
}

export function describeMachine(source: { flavor: string; version: string }, target: { version: string }): Machine {
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    source: `${source.flavor} ${source.version}`,
    target: `postgresql ${target.version}`,
  };
}

export function formatLines(lines: readonly BenchLine[]): string {
  const rows = lines.map((line) => [
    line.bench,
    line.what,
    line.value,
    line.bar ?? '',
    line.met === undefined ? '' : line.met ? 'met' : 'MISSED',
  ]);
  const head = ['bench', 'what', 'measured', 'bar', ''];
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const format = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [format(head), format(widths.map((width) => '-'.repeat(width))), ...rows.map(format)].join('\n');
}

export async function writeReport(
  directory: string,
  machine: Machine,
  results: Readonly<Record<string, BenchResult>>,
): Promise<string> {
  await mkdir(directory, { recursive: true });
  const file = `${directory}/latest.json`;
  await writeFile(file, `${JSON.stringify({ at: new Date().toISOString(), machine, results }, undefined, 2)}\n`);
  return file;
}

export function rate(rows: number, milliseconds: number): number {
  return (rows * 1_000) / milliseconds;
}

export function formatRate(rowsPerSecond: number): string {
  return `${Math.round(rowsPerSecond / 1_000)}k rows/s`;
}
