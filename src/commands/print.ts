import { printable } from '../errors/printable.ts';

/** Prints lines to stdout: the result of a command. */
export function print(...lines: readonly string[]): void {
  process.stdout.write(inLines(lines));
}

/** Prints lines to stderr: what happens beside the result. */
export function tell(...lines: readonly string[]): void {
  process.stderr.write(inLines(lines));
}

function inLines(lines: readonly string[]): string {
  return lines.map((line) => `${printable(line)}\n`).join('');
}
