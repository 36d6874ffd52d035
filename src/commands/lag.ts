import type { Config } from '../config/config.ts';
import { sleep } from '../errors/backoff.ts';
import { LagMeter } from '../monitoring/lag-meter.ts';
import type { LagReport } from '../monitoring/lag-report.ts';

/** Exit codes of `lag`. */
const exit = { within: 0, beyond: 1, unknown: 2 } as const;

const watchEveryMs = 2_000;
/** Back to the beginning of an empty screen (ECMA-48: CUP, ED). */
const clearScreen = '\u001b[H\u001b[J';

export interface LagOptions {
  readonly json: boolean;
  readonly maxSeconds: number | null;
  /** Again and again, until SIGINT or SIGTERM. */
  readonly watch: boolean;
}

/** Prints how far the target is behind. Returns the exit code; without `maxSeconds` any known lag is within. */
export async function lag(config: Config, { json, maxSeconds, watch }: LagOptions): Promise<number> {
  const stop = new AbortController();
  for (const signal of watch ? (['SIGINT', 'SIGTERM'] as const) : []) process.once(signal, () => stop.abort());
  const meter = new LagMeter(config, 'tidegate lag');
  try {
    for (;;) {
      const { report } = await meter.measure();
      const text = json ? JSON.stringify(report) : inWords(report);
      process.stdout.write(`${watch && !json && process.stdout.isTTY ? clearScreen : ''}${text}\n`);
      if (watch) await sleep(watchEveryMs, stop.signal);
      if (watch && !stop.signal.aborted) continue;
      if (report.secondsBehind === null) return exit.unknown;
      return maxSeconds !== null && report.secondsBehind > maxSeconds ? exit.beyond : exit.within;
    }
  } finally {
    await meter.close();
  }
}

function inWords(report: LagReport): string {
  const seconds = report.secondsBehind === null ? 'lag unknown' : `${report.secondsBehind} s behind`;
  const bytes = report.bytesBehind === null ? '' : `, ${report.bytesBehind} bytes of binlog`;
  const transactions = report.transactionsBehind === null ? '' : `, ${report.transactionsBehind} transactions`;
  const rows = report.rowsPerSecond === null ? '' : `, ${report.rowsPerSecond} rows/s`;
  const ready = report.secondsToCatchUp ? `, caught up in ${inUnits(report.secondsToCatchUp)}` : '';
  const reason = report.reason === null ? '' : `\n${report.state}: ${report.reason}`;
  const { snapshot } = report;
  const copied =
    snapshot === null
      ? ''
      : ` ${snapshot.percent} % (${snapshot.tablesDone} of ${snapshot.tables} tables, ${snapshot.rows} of about ${snapshot.estimatedRows} rows)`;
  const headroom =
    report.headroomSeconds === null
      ? ''
      : `\nthe source keeps what is needed to go on for at least ${inUnits(report.headroomSeconds)} more`;
  const parked = report.parkedTables.map(({ table, reason }) => `\nparked: ${table}: ${reason}`).join('');
  const dead = report.deadLetters
    .map(({ table, rows, reason }) => `\ndead letters: ${table}: ${rows} rows: ${reason}`)
    .join('');
  const converted = report.conversions
    .map(({ table, column, kind, count }) => `\nconverted: ${table}.${column}: ${count} values (${kind})`)
    .join('');
  const jobs = report.jobs
    .map(
      ({ table, kind, state, rows, estimatedRows }) =>
        `\n${kind} ${table}: ${state}, ${rows} of about ${estimatedRows} rows`,
    )
    .join('');
  const unequal = report.verifications
    .filter((verification) => !verification.isEqual)
    .map(
      ({ table, at }) =>
        `\nnot equal: ${table}, verified at ${at?.toISOString()}: tidegate verify --repair ${table} mends it`,
    )
    .join('');
  const problems = report.problems.map((problem) => `\n${problem}`).join('');
  return `${report.state}${copied}: ${seconds}${bytes}${transactions}${rows}${ready}${reason}${headroom}${parked}${dead}${converted}${jobs}${unequal}${problems}`;
}

function inUnits(seconds: number): string {
  const hours = Math.floor(seconds / 3600);
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (hours < 1) return `${Math.floor(seconds / 60)} min`;
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`;
}
