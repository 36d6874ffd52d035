import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { commandEnv } from './command-env.ts';
import { program } from './program.ts';

/** How long a wait may take before it counts as without end, on a busy machine, too. */
export const patienceMs = 300_000;

/** A line of the JSON log of `run`. */
export interface RunLine extends Readonly<Record<string, unknown>> {
  readonly msg: string;
  /** Milliseconds since 1970, stamped by the program. */
  readonly time: number;
}

export interface RunEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** `tidegate run …` from this checkout as a child process; its log can be read and waited for. */
export class RunProcess {
  readonly spawnedAt = Date.now();
  readonly pid: number;
  readonly exited: Promise<RunEnd>;
  readonly #child: ChildProcess;
  readonly #lines: RunLine[] = [];
  /** Output that is not a JSON log line: text on stderr. */
  readonly #other: string[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #readers = new Set<(line: RunLine) => void>();
  #end: RunEnd | undefined;

  /**
   * `env` contains all settings of the program. With `ownSession`, a Ctrl-C in the terminal does not reach the program. `launcher`: a program
   * and its arguments, to which the command is appended.
   */
  constructor(
    env: Readonly<Record<string, string>>,
    args: readonly string[] = [],
    options: {
      readonly ownSession?: boolean;
      readonly program?: string;
      readonly launcher?: readonly string[];
    } = {},
  ) {
    const command = [...(options.launcher ?? []), process.execPath, options.program ?? program(), 'run', ...args];
    this.#child = spawn(command[0] ?? '', command.slice(1), {
      cwd: new URL('..', import.meta.url),
      env: commandEnv(env),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: options.ownSession === true,
    });
    const { stdout, stderr, pid } = this.#child;
    if (stdout === null || stderr === null || pid === undefined) throw new Error('the program could not be started');
    this.pid = pid;
    createInterface({ input: stdout }).on('line', (text) => this.#take(text));
    createInterface({ input: stderr }).on('line', (text) => this.#other.push(text));
    this.exited = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      // `close` comes after the last line of output; `exit` may come before it.
      this.#child.once('close', (code, signal) => {
        this.#end = { code, signal };
        this.#wake();
        resolve(this.#end);
      });
    });
  }

  get running(): boolean {
    return this.#end === undefined;
  }

  /** The program has ended with an exit code other than 0. */
  get failed(): boolean {
    return this.#end !== undefined && this.#end.code !== 0;
  }

  /** All log lines so far. */
  get lines(): readonly RunLine[] {
    return this.#lines;
  }

  /** Calls `reader` with every future line. */
  onLine(reader: (line: RunLine) => void): void {
    this.#readers.add(reader);
  }

  /** The first line with this message that satisfies `match`, if there is one. */
  find(msg: string, match: (line: RunLine) => boolean = () => true): RunLine | undefined {
    return this.#lines.find((line) => line.msg === msg && match(line));
  }

  /** Waits for such a line. Throws, with the end of the log, if the program ends or the time runs out first. */
  async logged(msg: string, match: (line: RunLine) => boolean = () => true, timeoutMs = patienceMs): Promise<RunLine> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const line = this.find(msg, match);
      if (line !== undefined) return line;
      if (!this.running)
        throw new Error(`run ended with ${describeEnd(this.#end)} before it logged '${msg}':\n${this.tail()}`);
      if (Date.now() >= deadline) throw new Error(`run did not log '${msg}' within ${timeoutMs} ms:\n${this.tail()}`);
      await this.#changed(deadline - Date.now());
    }
  }

  /** Waits for the end and requires exit code 0; otherwise throws with the end of the log. */
  async succeeded(): Promise<void> {
    const end = await this.exited;
    if (end.code !== 0) throw new Error(`run ended with ${describeEnd(end)}:\n${this.tail()}`);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Sends SIGTERM and waits for a clean end. */
  async stop(): Promise<void> {
    this.signal('SIGTERM');
    await this.succeeded();
  }

  /** Sends SIGKILL if the program still runs, then waits for its end, clean or not. */
  async kill(): Promise<void> {
    if (this.running) this.signal('SIGKILL');
    await this.exited;
  }

  /** The last lines, for an error message. */
  tail(count = 20): string {
    return [...this.#lines.slice(-count).map((line) => JSON.stringify(line)), ...this.#other.slice(-count)].join('\n');
  }

  #take(text: string): void {
    const line = parseLine(text);
    if (line === undefined) {
      this.#other.push(text);
      return;
    }
    this.#lines.push(line);
    for (const reader of this.#readers) reader(line);
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }

  async #changed(timeoutMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      this.#waiting.add(done);
    });
  }
}

function parseLine(text: string): RunLine | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null || !('msg' in parsed) || typeof parsed.msg !== 'string')
    return undefined;
  const stamp = 'time' in parsed ? parsed.time : undefined;
  return { ...parsed, msg: parsed.msg, time: typeof stamp === 'number' ? stamp : Date.parse(String(stamp)) };
}

function describeEnd(end: RunEnd | undefined): string {
  return String(end?.code ?? end?.signal ?? 'nothing');
}
