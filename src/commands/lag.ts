import { TargetSession } from '../postgres/session.ts';
import type { Config } from '../config/config.ts';
import { printable } from '../errors/printable.ts';
import { sleep } from '../lifetime/backoff.ts';
import { LagMeter, type Measured } from '../monitoring/lag-meter.ts';
import { inTime, lagDetails, lagHeadline } from '../monitoring/lag-words.ts';
import { LiveView, sparkline } from '../monitoring/terminal-view.ts';

/** Exit codes of `lag`. */
const exit = { within: 0, beyond: 1, unknown: 2 } as const;

const watchEveryMs = 2_000;

export interface LagOptions {
  readonly json: boolean;
  readonly maxSeconds: number | null;
  /** Repeat until SIGINT or SIGTERM. */
  readonly watch: boolean;
}

/** Prints how far the target is behind. Returns the exit code; without `maxSeconds` any known lag is within the limit. */
export async function lag(config: Config, { json, maxSeconds, watch }: LagOptions): Promise<number> {
  const meter = new LagMeter(config, async (scope) => await TargetSession.open(scope, config.target, 'tidegate lag'));
  try {
    const { report } = watch ? await watchLag(config, meter, json) : await meter.measureAtStart();
    // With lines, the last measurement is already printed.
    if (!watch || (process.stdout.isTTY && !json))
      show(json ? printable(JSON.stringify(report)) : [lagHeadline(report), ...lagDetails(report)].join('\n'));
    if (report.secondsBehind === null) return exit.unknown;
    return maxSeconds !== null && report.secondsBehind > maxSeconds ? exit.beyond : exit.within;
  } finally {
    await meter.close();
  }
}

/** Shows the lag until a signal: as a full-screen view on a terminal, else as lines. Returns the last measurement. */
async function watchLag(config: Config, meter: LagMeter, json: boolean): Promise<Measured> {
  const stop = new AbortController();
  // `on`, not `once`: a second signal would end the process before the terminal is restored.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort());
  const view = process.stdout.isTTY && !json ? new LiveView(process.stdout) : null;
  const { source, target } = config;
  const title = printable(`${source.database} on ${source.host} → ${target.schema} on ${target.host}`);
  const history: (number | null)[] = [];
  try {
    for (;;) {
      const measured = await meter.measure();
      const { at, report } = measured;
      history.push(report.secondsBehind);
      if (json) show(printable(JSON.stringify(report)));
      else if (view === null) show(`${at.toISOString()} ${lagHeadline(report)}`);
      else
        view.show([
          ...[`${title}   ${at.toLocaleTimeString('en-GB')}   Ctrl-C to exit`, '', lagHeadline(report)],
          ...['', ...chart(history, view.columns), '', ...lagDetails(report)],
        ]);
      await sleep(watchEveryMs, stop.signal);
      if (stop.signal.aborted) return measured;
    }
  } finally {
    view?.close();
  }
}

/** Seconds behind since the start, newest on the right. */
function chart(history: readonly (number | null)[], columns: number): string[] {
  const width = Math.max(10, columns - 4);
  const shown = history.slice(-width);
  const most = Math.max(0, ...shown.map((seconds) => seconds ?? 0));
  const span = inTime((shown.length * watchEveryMs) / 1000);
  return [`  ${sparkline(shown, width)}`, `  at most ${inTime(most)} behind in the last ${span}`];
}

/** Prints text that may have colours; the names in it are printable already. */
function show(text: string): void {
  process.stdout.write(`${text}\n`);
}
