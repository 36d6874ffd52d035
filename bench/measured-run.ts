import { readFile } from 'node:fs/promises';
import { RunProcess } from '../testing/run-process.ts';

/** The compiled, installed form of `tidegate run …`, with its memory sampled while it runs. bench/compile.ts compiles it. */
export class MeasuredRun extends RunProcess {
  #peakBytes = 0;
  #cpuMs = 0;

  constructor(
    env: Readonly<Record<string, string>>,
    args: readonly string[] = [],
    options: { readonly program?: string; readonly launcher?: readonly string[] } = {},
  ) {
    super(env, args, { program: 'dist/src/main.js', ...options });
    const sampler = setInterval(() => void this.#sample(), 50);
    void this.exited.finally(() => clearInterval(sampler));
  }

  /** The largest resident set so far in bytes: the kernel's high-water mark (VmHWM). */
  get peakBytes(): number {
    return this.#peakBytes;
  }

  /** The processor time of the program, in user and kernel mode, up to the last sample. */
  get cpuMs(): number {
    return this.#cpuMs;
  }

  /** The time of the first such log line in milliseconds since 1970; throws if there is none. */
  loggedAt(msg: string): number {
    const line = this.find(msg);
    if (line === undefined) throw new Error(`run did not log '${msg}':\n${this.tail()}`);
    return line.time;
  }

  async #sample(): Promise<void> {
    try {
      const status = await readFile(`/proc/${this.pid}/status`, 'utf8');
      const kibibytes = /^VmHWM:\s+(\d+) kB/mu.exec(status)?.[1];
      // After the name, which may contain blanks, utime and stime are the 12th and 13th field, in hundredths of a second
      // (proc(5)).
      const fields = (await readFile(`/proc/${this.pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
      this.#cpuMs = Math.max(this.#cpuMs, (Number(fields[11]) + Number(fields[12])) * 10);
      if (kibibytes !== undefined) this.#peakBytes = Math.max(this.#peakBytes, Number(kibibytes) * 1_024);
    } catch (error) {
      // The process has just ended; the previous samples stay valid.
      if (!(error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')))
        throw error;
    }
  }
}
