import { stripVTControlCharacters, styleText } from 'node:util';
import { Presets, SingleBar } from 'cli-progress';

const out = process.stdout;
/** Only a terminal gets lines that are overwritten. */
const terminal = out.isTTY;
let live = false;
let lastPlain = 0;
const plainEveryMs = 5000;

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

export function count(value: number): string {
  return grouped.format(value);
}

export function heading(text: string): void {
  endLive();
  out.write(`\n${styleText(['bold', 'cyan'], text)}\n`);
}

export function line(text: string): void {
  endLive();
  out.write(`  ${text}\n`);
}

export const good = (text: string): string => styleText('green', text);
export const bad = (text: string): string => styleText(['bold', 'red'], text);
export const faint = (text: string): string => styleText('dim', text);

/** One line that is updated in place; without a terminal, a new line every few seconds. */
export function liveLine(text: string): void {
  if (terminal) {
    // A line that wraps cannot be overwritten.
    const room = Math.max(20, out.columns - 3);
    const bare = stripVTControlCharacters(text);
    out.write(`\r\u001B[2K  ${bare.length <= room ? text : bare.slice(0, room)}`);
    live = true;
  } else if (performance.now() - lastPlain >= plainEveryMs) {
    lastPlain = performance.now();
    out.write(`  ${text}\n`);
  }
}

function endLive(): void {
  if (live) out.write('\n');
  live = false;
}

/** A progress bar of rows on a terminal, a line for each quarter elsewhere. */
export class CopyBar {
  readonly #total: number;
  readonly #bar: SingleBar | undefined;
  #quarter = 0;

  constructor(total: number) {
    this.#total = total;
    if (!terminal) return;
    const format = '  {bar} {percentage}%  {rows} rows  {tables} tables';
    this.#bar = new SingleBar(
      { format, barsize: 36, hideCursor: true, clearOnComplete: false },
      Presets.shades_classic,
    );
    this.#bar.start(total, 0, { rows: '0', tables: '0' });
  }

  update(rows: number, tables: number): void {
    // The clinic writes during the copy, so there may be more rows than expected.
    const shown = Math.min(rows, this.#total);
    this.#bar?.update(shown, { rows: count(rows), tables });
    const quarter = Math.floor((4 * shown) / this.#total);
    if (this.#bar === undefined && quarter > this.#quarter)
      line(`${quarter * 25}%  ${count(rows)} rows  ${tables} tables`);
    this.#quarter = quarter;
  }

  stop(): void {
    this.#bar?.stop();
  }
}
