import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Client } from 'pg';
import { loadConfig } from '../src/config/load-config.ts';
import { measureLag } from '../src/monitoring/lag-meter.ts';
import type { RunProcess } from '../testing/run-process.ts';
import { bad, CopyBar, count, faint, good, line, liveLine } from './screen.ts';
import { readCopyState, readRowsWritten } from './target-view.ts';
import { commandEnv } from '../testing/command-env.ts';

const catchUpLimitMs = 120_000;

/** The objects that every step uses: the program's environment, its target, and the signal of the user to stop. */
export interface Stage {
  readonly env: Readonly<Record<string, string>>;
  readonly schema: string;
  readonly target: Client;
  readonly signal: AbortSignal;
}

/** Runs `check` and prints its output; throws if it reports that source or target is not ready. */
export async function showCheck({ env }: Stage): Promise<void> {
  const options = { cwd: new URL('..', import.meta.url), env: commandEnv(env) };
  try {
    const { stdout } = await promisify(execFile)(process.execPath, ['src/cli.ts', 'check'], options);
    for (const text of stdout.trimEnd().split('\n')) line(text);
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout?: string; readonly stderr?: string };
    for (const text of `${stdout ?? ''}${stderr ?? ''}`.trimEnd().split('\n')) line(text);
    throw new Error('check reports that this source and target are not ready', { cause: error });
  }
}

/** Shows the snapshot until the program streams; returns early if the user stops it. */
export async function showSnapshot(stage: Stage, run: RunProcess, expectedRows: number): Promise<void> {
  const started = performance.now();
  const bar = new CopyBar(expectedRows);
  try {
    while (run.find('streaming') === undefined) {
      if (stage.signal.aborted) return;
      await stillRuns(run);
      const { rows } = await readCopyState(stage.target);
      // The control schema marks tables as copied only when all are.
      bar.update(rows, run.lines.filter(({ msg }) => msg === 'table copied').length);
      await sleep(100);
    }
    const { rows, tables } = await readCopyState(stage.target);
    bar.update(rows, tables);
  } finally {
    bar.stop();
  }
  line(good(`copied in ${((performance.now() - started) / 1000).toFixed(1)} s, while the clinic went on working`));
}

/** Prints one line about the stream every second until `signal` aborts. */
export async function showStream(stage: Stage, run: RunProcess, deeds: () => number): Promise<void> {
  const config = loadConfig({ ...stage.env });
  let before = { at: performance.now(), written: await readRowsWritten(stage.target, stage.schema) };
  let rate = 0;
  while (!stage.signal.aborted) {
    await pause(1000, stage.signal);
    await stillRuns(run);
    const lag = await measureLag(config);
    const { tables, suspended } = await readCopyState(stage.target);
    const now = { at: performance.now(), written: await readRowsWritten(stage.target, stage.schema) };
    const latest = ((now.written - before.written) * 1000) / (now.at - before.at);
    rate = rate === 0 ? latest : 0.6 * rate + 0.4 * latest;
    before = now;
    const behind = lag.secondsBehind === null ? 'lag unknown' : `${lag.secondsBehind} s behind`;
    const parts = [
      good(lag.state),
      behind,
      `${count(rate)} rows/s`,
      `${tables} tables`,
      `${count(deeds())} deeds done`,
    ];
    if (suspended.length > 0) parts.push(bad(`${suspended.length} suspended`));
    liveLine(parts.join(faint(' | ')));
  }
}

/** Waits until the target has everything that the source has; the clinic must have stopped. */
export async function waitUntilEqual(stage: Stage, run: RunProcess): Promise<void> {
  const config = loadConfig({ ...stage.env });
  const started = performance.now();
  for (;;) {
    await stillRuns(run);
    const lag = await measureLag(config);
    if (lag.secondsBehind === 0) break;
    if (performance.now() - started > catchUpLimitMs)
      throw new Error(`the target did not catch up: ${lag.state} ${lag.problems.join(' ')}`);
    liveLine(`${lag.state}: ${lag.bytesBehind ?? 'unknown'} bytes of binlog behind`);
    await sleep(100);
  }
  line(good(`the target has everything, ${((performance.now() - started) / 1000).toFixed(1)} s after the last change`));
}

/** Ends the program with SIGTERM; throws if it does not stop cleanly. */
export async function stopRun(run: RunProcess): Promise<void> {
  // Before its first log line the program may not handle signals yet; then the signal itself ends it.
  const starting = run.lines.length === 0;
  run.signal('SIGTERM');
  const { code, signal } = await run.exited;
  if (code !== 0 && !(starting && signal === 'SIGTERM')) throw new Error(`run ended with ${code ?? signal}`);
}

async function stillRuns(run: RunProcess): Promise<void> {
  if (run.running) return;
  const { code, signal } = await run.exited;
  throw new Error(`run ended with ${code ?? signal}`);
}

/** Sleeps, but ends at the abort. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
