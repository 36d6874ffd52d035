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

/** A bar for each table at the foot of a terminal. Lines of a log go above them. */
export class ProgressBars {
  readonly #terminal: NodeJS.WriteStream;
  #screen: MultiBar | null = null;
  readonly #bars = new Map<string, SingleBar>();

  constructor(terminal: NodeJS.WriteStream) {
    this.#terminal = terminal;
  }

  show(tables: readonly Progress[]): void {
    if (tables.length === 0) return;
    this.#screen ??= new MultiBar(
      {
        format: '{table} {bar} {percentage} % · {value} rows · {rate} rows/s · {left}',
        stream: this.#terminal,
        hideCursor: true,
        // Signals are ours.
        gracefulExit: false,
      },
      Presets.shades_classic,
    );
    const width = Math.max(...tables.map(({ table }) => table.length));
    for (const progress of tables) {
      const { table, rows, estimatedRows, ended } = progress;
      const total = Math.max(1, ended === null ? estimatedRows : 0, rows);
      const bar = this.#bars.get(table) ?? this.#screen.create(total, 0, { table, rate: 0, left: '' });
      this.#bars.set(table, bar);
      const { rate, secondsLeft } = measureProgress(progress);
      bar.setTotal(total);
      bar.update(rows, {
        table: table.padEnd(width),
        rate,
        left: ended ?? (secondsLeft === null ? '' : `${secondsLeft} s left`),
      });
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
}
