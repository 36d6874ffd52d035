import { printable } from '../errors/printable.ts';
import { MultiBar, Presets, type SingleBar } from 'cli-progress';

/** A table that is being read. */
export interface Progress {
  readonly table: string;
  readonly rows: number;
  /** The source's estimate. */
  readonly estimatedRows: number;
  /** Milliseconds since 1970. */
  readonly startedAt: number | null;
  /** Rows that were already read at that time. */
  readonly rowsBefore: number;
  /** Null: still running; else how it ended. */
  readonly ended: string | null;
}

interface Measure {
  readonly rate: number;
  readonly secondsLeft: number | null;
}

/** Rows a second since the start, and the seconds left if the source's estimate of the rows is right. */
export function measureProgress({ rows, estimatedRows, startedAt, rowsBefore }: Progress): Measure {
  const seconds = startedAt === null ? 0 : (Date.now() - startedAt) / 1000;
  const rate = seconds < 0.5 ? 0 : (rows - rowsBefore) / seconds;
  const left = Math.max(0, estimatedRows - rows);
  return { rate: Math.round(rate), secondsLeft: rate === 0 ? null : Math.round(left / rate) };
}

/** Progress of all tables together. */
export interface TablesDone {
  readonly tables: number;
  readonly tablesDone: number;
  readonly percent: number;
}

/** Lines of the terminal that are kept for the log above the bars. */
const linesOfLog = 6;
const lineOfAll = 'all tables';
const whole = new Intl.NumberFormat('en-US');

/** Progress bars at the bottom of a terminal, one for each table that is being read and one for all. Log lines go above them. */
export class ProgressBars {
  readonly #terminal: NodeJS.WriteStream;
  #screen: MultiBar | null = null;
  readonly #bars = new Map<string, SingleBar>();

  constructor(terminal: NodeJS.WriteStream) {
    this.#terminal = terminal;
  }

  show(reading: readonly Progress[], { tables, tablesDone, percent }: TablesDone): void {
    if (reading.length === 0) return;
    const shown = reading
      .filter(({ ended }) => ended === null)
      .slice(0, Math.max(1, this.#terminal.rows - linesOfLog))
      .map((progress) => ({ name: printable(progress.table), value: progress.rows, ...inWords(progress) }));
    const lines = [...shown, { name: lineOfAll, value: percent, total: 100, text: `${tablesDone} of ${tables} done` }];
    const width = Math.max(...lines.map(({ name }) => name.length));
    for (const [name, bar] of this.#bars) {
      // The bar of all tables stays the last one.
      if (lines.some((line) => line.name === name) && name !== lineOfAll) continue;
      this.#screen?.remove(bar);
      this.#bars.delete(name);
    }
    for (const { name, value, total, text } of lines) {
      const bar = this.#bars.get(name) ?? this.#openScreen().create(total, 0, { name, text });
      this.#bars.set(name, bar);
      bar.setTotal(total);
      bar.update(value, { name: name.padEnd(width), text });
    }
  }

  /** Writes a complete log line. */
  write(line: string): void {
    if (this.#screen === null) this.#terminal.write(line);
    else this.#screen.log(line);
  }

  /** Leaves the bars on the screen as they are. New bars appear below. */
  close(): void {
    // Draws the last state, which would otherwise follow a moment later.
    this.#screen?.update();
    this.#screen?.stop();
    this.#screen = null;
    this.#bars.clear();
  }

  #openScreen(): MultiBar {
    this.#screen ??= new MultiBar(
      {
        format: '{name} {bar} {percentage} % · {text}',
        stream: this.#terminal,
        barsize: 20,
        hideCursor: true,
        // The command handles signals itself.
        gracefulExit: false,
      },
      Presets.shades_classic,
    );
    return this.#screen;
  }
}

/** Total and text of a table's bar. The bar is never full before the table is done, whatever the source estimated. */
function inWords(progress: Progress): { readonly total: number; readonly text: string } {
  const { rows, estimatedRows } = progress;
  const { rate, secondsLeft } = measureProgress(progress);
  const left = secondsLeft === null || secondsLeft === 0 ? '' : ` · ${secondsLeft} s left`;
  return {
    total: Math.max(estimatedRows, rows + 1),
    text: `${whole.format(rows)} rows · ${whole.format(rate)} rows/s${left}`,
  };
}
