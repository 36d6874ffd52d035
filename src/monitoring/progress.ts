import { MultiBar, Presets, type SingleBar } from 'cli-progress';

/** A table that is being read. */
export interface Progress {
  readonly table: string;
  readonly rows: number;
  /** As the source guesses. */
  readonly estimatedRows: number;
  /** Milliseconds since 1970, and how many rows were read before. */
  readonly startedAt: number | null;
  readonly rowsBefore: number;
  /** Null: it is under way; else how it ended. */
  readonly ended: string | null;
}

interface Measure {
  readonly rate: number;
  readonly secondsLeft: number | null;
}

/** Rows a second since it began, and how long it takes from here if the source's guess of the rows is right. */
export function measureProgress({ rows, estimatedRows, startedAt, rowsBefore }: Progress): Measure {
  const seconds = startedAt === null ? 0 : (Date.now() - startedAt) / 1000;
  const rate = seconds < 0.5 ? 0 : (rows - rowsBefore) / seconds;
  const left = Math.max(0, estimatedRows - rows);
  return { rate: Math.round(rate), secondsLeft: rate === 0 ? null : Math.round(left / rate) };
}

/** How far all tables are together. */
export interface TablesDone {
  readonly tables: number;
  readonly tablesDone: number;
  readonly percent: number;
}

/** Lines of a terminal that are left to the log above the bars. */
const linesOfLog = 6;
const lineOfAll = 'all tables';
const whole = new Intl.NumberFormat('en-US');

/** A bar for each table that is being read, and one for all of them, at the foot of a terminal. Lines of a log go above them. */
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
      .map((progress) => ({ name: progress.table, value: progress.rows, ...inWords(progress) }));
    const lines = [...shown, { name: lineOfAll, value: percent, total: 100, told: `${tablesDone} of ${tables} done` }];
    const width = Math.max(...lines.map(({ name }) => name.length));
    for (const [name, bar] of this.#bars) {
      // The last line stays the last one.
      if (lines.some((line) => line.name === name) && name !== lineOfAll) continue;
      this.#screen?.remove(bar);
      this.#bars.delete(name);
    }
    for (const { name, value, total, told } of lines) {
      const bar = this.#bars.get(name) ?? this.#begun().create(total, 0, { name, told });
      this.#bars.set(name, bar);
      bar.setTotal(total);
      bar.update(value, { name: name.padEnd(width), told });
    }
  }

  /** A whole line of a log. */
  write(line: string): void {
    if (this.#screen === null) this.#terminal.write(line);
    else this.#screen.log(line);
  }

  /** What the bars say stays on the screen; others may follow beneath. */
  close(): void {
    // The last lines and the last state, which it would draw a moment later.
    this.#screen?.update();
    this.#screen?.stop();
    this.#screen = null;
    this.#bars.clear();
  }

  #begun(): MultiBar {
    this.#screen ??= new MultiBar(
      {
        format: '{name} {bar} {percentage} % · {told}',
        stream: this.#terminal,
        barsize: 20,
        hideCursor: true,
        // Signals are ours.
        gracefulExit: false,
      },
      Presets.shades_classic,
    );
    return this.#screen;
  }
}

/** What a table's bar says. It is not full before the table is done, however many rows the source had guessed. */
function inWords(progress: Progress): { readonly total: number; readonly told: string } {
  const { rows, estimatedRows } = progress;
  const { rate, secondsLeft } = measureProgress(progress);
  const left = secondsLeft === null || secondsLeft === 0 ? '' : ` · ${secondsLeft} s left`;
  return {
    total: Math.max(estimatedRows, rows + 1),
    told: `${whole.format(rows)} rows · ${whole.format(rate)} rows/s${left}`,
  };
}
