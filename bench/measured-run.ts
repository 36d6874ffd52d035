import { readFile } from 'node:fs/promises';
import { RunProcess } from '../sandbox/run-process.ts';

/** `tidegate run …` as it is installed, compiled, whose memory is watched while it runs. bench/compile.ts compiles it. */
export class MeasuredRun extends RunProcess {
  #peakBytes = 0;

  constructor(env: Readonly<Record<string, string>>, ...args: readonly string[]) {
    super(env, args, { program: 'dist/src/cli.js' });
    const sampler = setInterval(() => void this.#sample(), 50);
    void this.exited.finally(() => clearInterval(sampler));
  }

  /** The largest resident set seen so far, in bytes: the kernel's own high-water mark (VmHWM). */
  get peakBytes(): number {
    return this.#peakBytes;
  }

  /** When a message was logged first, in milliseconds since 1970; raises when it was not. */
  loggedAt(msg: string): number {
    const line = this.find(msg);
    if (line === undefined) throw new Error(`run did not log '${msg}':\n${this.tail()}`);
    return line.time;
  }

  async #sample(): Promise<void> {
    try {
      const status = await readFile(`/proc/${this.pid}/status`, 'utf8');
      const kibibytes = /^VmHWM:\s+(\d+) kB/mu.exec(status)?.[1];
      if (kibibytes !== undefined) this.#peakBytes = Math.max(this.#peakBytes, Number(kibibytes) * 1_024);
    } catch (error) {
      // the process has just ended; what was sampled before stands
      if (!(error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')))
        throw error;
    }
  }
}
