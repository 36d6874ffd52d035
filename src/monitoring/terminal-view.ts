import { stripVTControlCharacters } from 'node:util';

/** Switches to the alternate screen without a cursor (DECSET 1049, 25), and back. */
const enter = '\u001b[?1049h\u001b[?25l';
const leave = '\u001b[?25h\u001b[?1049l';
const toTop = '\u001b[H';
const eraseLine = '\u001b[K';
const eraseBelow = '\u001b[J';

/** A full-screen view on a terminal, redrawn in place. `close` restores what was on the screen before. */
export class LiveView {
  readonly #terminal: NodeJS.WriteStream;
  #lines: readonly string[] = [];
  readonly #redraw = () => this.#draw();

  constructor(terminal: NodeJS.WriteStream) {
    this.#terminal = terminal;
    terminal.write(enter);
    terminal.on('resize', this.#redraw);
  }

  get columns(): number {
    return this.#terminal.columns;
  }

  show(lines: readonly string[]): void {
    this.#lines = lines;
    this.#draw();
  }

  close(): void {
    this.#terminal.off('resize', this.#redraw);
    this.#terminal.write(leave);
  }

  #draw(): void {
    const { columns, rows } = this.#terminal;
    const lines = this.#lines.slice(0, rows).map((line) => fitted(line, columns) + eraseLine);
    this.#terminal.write(`${toTop}${lines.join('\r\n')}${eraseBelow}`);
  }
}

/** The line, cut to the width of the terminal. A cut line loses its colours. A line that wraps would displace the others. */
function fitted(line: string, columns: number): string {
  const bare = stripVTControlCharacters(line);
  return bare.length <= columns ? line : `${bare.slice(0, columns - 1)}…`;
}

const blocks = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/** The last `width` figures as a row of bars, scaled to the largest. A blank stands for null. */
export function sparkline(figures: readonly (number | null)[], width: number): string {
  const shown = figures.slice(-width);
  const most = Math.max(...shown.map((figure) => figure ?? 0));
  return shown
    .map((figure) => {
      if (figure === null) return ' ';
      return blocks[most === 0 ? 0 : Math.round((figure / most) * (blocks.length - 1))];
    })
    .join('');
}
