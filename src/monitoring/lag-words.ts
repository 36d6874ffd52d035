import { styleText } from 'node:util';
import { printable } from '../errors/printable.ts';
import type { LeftOutGroup } from '../postgres/control/control-schema.ts';
import type { SnapshotStatus } from '../postgres/control/status.ts';
import { type Tone, headlineOf } from './headline.ts';
import type { LagReport } from './lag-report.ts';

/** Long lists are cut to this length; `--json` has all. */
const mostShown = 10;
const labelWidth = 12;

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** The state and the lag in one line. */
export function lagHeadline(report: LagReport): string {
  const { snapshot, secondsBehind, rowsPerSecond, secondsToCatchUp } = report;
  const { tone, state, notes } = headlineOf(report);
  const parts = [paint(state, colours[tone])];
  if (snapshot !== null && secondsBehind === null) parts.push(...pace(snapshot));
  else {
    parts.push(secondsBehind === null ? 'lag unknown' : `${inTime(secondsBehind)} behind`);
    if (rowsPerSecond !== null) parts.push(`${whole.format(rowsPerSecond)} rows/s`);
    if (secondsToCatchUp !== null && secondsToCatchUp > 0) parts.push(`caught up in ${inTime(secondsToCatchUp)}`);
  }
  return [...parts, ...notes.map((note) => paint(note, colours[tone]))].join(', ');
}

/** The lines below the headline: the figures behind it, and everything that needs a person. */
export function lagDetails(measured: LagReport): string[] {
  const report = printableReport(measured);
  const unequal = (report.verifications ?? []).filter(({ isEqual }) => !isEqual);
  const details: Detail[] = [
    ...one('reason', report.reason),
    ...one('to do', report.remedy && paint(report.remedy, 'bold')),
    ...one('behind', behind(report)),
    ...one('first copy', firstCopy(report)),
    ...one('headroom', headroom(report)),
    ...one('clocks', clocks(report)),
    ...one('verified', verified(report)),
    ...some('job', report.jobs, ({ kind, table, state, rows, estimatedRows }) => [
      `${kind} ${table}: ${state}, ${whole.format(rows)} of about ${plural(estimatedRows, 'row')}`,
    ]),
    ...some('suspended', report.suspendedTables, ({ table, reason, remedy }) => [
      paint(`${table}: ${reason}`, 'red'),
      remedy,
    ]),
    // Suspended tables have lines of their own.
    ...some(
      'left out',
      report.leftOutTables && report.leftOutTables.filter(({ state }) => state !== 'suspended'),
      (group) => [leftOutInWords(group)],
    ),
    ...some('not equal', unequal, ({ table, missing, extra, different, rejected }) => [
      paint(
        `${table}: ${missing} missing, ${extra} extra, ${different} different, ${rejected} cannot be replicated`,
        'red',
      ),
      `tidegate verify --repair ${table}`,
    ]),
    ...some('failed', report.failedJobs, ({ kind, table, reason }) => [paint(`${kind} ${table}: ${reason}`, 'yellow')]),
    ...some('dead letters', report.deadLetters, ({ table, column, reason, rows }) => [
      paint(`${plural(rows, 'row')} of ${table}${column === null ? '' : `.${column}`}: ${reason}`, 'yellow'),
      `tidegate dead-letters list ${table}`,
    ]),
    ...one('converted', converted(report)),
    ...report.problems.map((problem): Detail => ({
      label: 'problem',
      text: paint(problem, 'yellow'),
      remedy: undefined,
    })),
  ];
  return details.map(
    ({ label, text, remedy }) =>
      `  ${paint(label.padEnd(labelWidth), 'dim')} ${text}${remedy === undefined ? '' : ` ${paint(`→ ${remedy}`, 'bold')}`}`,
  );
}

/** Makes every text of a report printable; the colours are added afterwards. */
function printableReport<T>(report: T): T {
  const cleaned = (_name: string, value: unknown) => (typeof value === 'string' ? printable(value) : value);
  return JSON.parse(JSON.stringify(report, cleaned)) as T;
}

/** In one unit, or in two from two hours on. */
export function inTime(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds * 10) / 10} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h${andMore(minutes % 60, 'min')}`;
  return `${Math.floor(hours / 24)} days${andMore(hours % 24, 'h')}`;
}

function andMore(amount: number, unit: string): string {
  return amount === 0 ? '' : ` ${amount} ${unit}`;
}

interface Detail {
  readonly label: string;
  readonly text: string;
  /** What repairs it. */
  readonly remedy: string | undefined;
}

function one(label: string, text: string | null): Detail[] {
  return text === null ? [] : [{ label, text, remedy: undefined }];
}

function some<T>(
  label: string,
  things: readonly T[] | null,
  describe: (thing: T) => [text: string, remedy?: string],
): Detail[] {
  if (things === null) return [];
  const shown = things.slice(0, mostShown).map((thing): Detail => {
    const [text, remedy] = describe(thing);
    return { label, text, remedy };
  });
  const more = things.length - shown.length;
  return more > 0 ? [...shown, { label, text: `and ${more} more; --json has all`, remedy: undefined }] : shown;
}

/** As `60 tables: it has no primary key: a, b, c and 57 more`. */
export function leftOutInWords({ reason, tables }: Pick<LeftOutGroup, 'reason' | 'tables'>): string {
  const shown = tables.slice(0, 3).join(', ');
  const more = tables.length > 3 ? ` and ${tables.length - 3} more` : '';
  return `${plural(tables.length, 'table')}: ${reason}: ${shown}${more}`;
}

function behind({ transactionsBehind, bytesBehind }: LagReport): string | null {
  const parts = [
    ...(transactionsBehind === null ? [] : [plural(transactionsBehind, 'transaction')]),
    ...(bytesBehind === null ? [] : [`${inBytes(bytesBehind)} of binlog`]),
  ];
  return parts.length === 0 ? null : parts.join(', ');
}

function firstCopy({ snapshot }: LagReport): string | null {
  if (snapshot === null) return null;
  const { tables, tablesDone, rows, estimatedRows } = snapshot;
  const done = [
    `${tablesDone} of ${plural(tables, 'table')}`,
    `${whole.format(rows)} of about ${plural(estimatedRows, 'row')}`,
  ];
  return [...done, ...pace(snapshot)].join(', ');
}

function pace({ rowsPerSecond, secondsLeft }: SnapshotStatus): string[] {
  return [
    ...(rowsPerSecond === null ? [] : [`${whole.format(rowsPerSecond)} rows/s`]),
    ...(secondsLeft === null ? [] : [`about ${inTime(secondsLeft)} left`]),
  ];
}

function headroom({ headroomSeconds, retentionSeconds }: LagReport): string | null {
  if (headroomSeconds === null) return retentionSeconds === 0 ? 'the source purges nothing by itself' : null;
  if (headroomSeconds === 0) return paint('none: the source has purged what is needed → tidegate resync', 'red');
  return `the source keeps what is needed for at least ${inTime(headroomSeconds)} more`;
}

function clocks({ clockSkewSeconds: skew }: LagReport): string | null {
  if (skew === null) return null;
  return skew === 0
    ? 'agree'
    : `the source's is ${inTime(Math.abs(skew))} ${skew > 0 ? 'ahead of' : 'behind'} this one`;
}

function verified({ verifications }: LagReport): string | null {
  if (verifications === null) return null;
  const times = verifications.flatMap(({ at }) => (at === null ? [] : [new Date(at).getTime()]));
  if (times.length === 0) return null;
  const equal = verifications.filter(({ isEqual }) => isEqual).length;
  const ago = Math.round((Date.now() - Math.min(...times)) / 1000);
  return `${equal} of ${plural(verifications.length, 'table')} equal, the oldest ${inTime(Math.max(0, ago))} ago`;
}

/** Totals by kind: a source with many empty dates has them in hundreds of columns, and they need no attention. */
function converted({ conversions }: LagReport): string | null {
  const kinds = Map.groupBy(conversions ?? [], ({ kind }) => kind);
  const parts = [...kinds].map(([kind, columns]) => {
    const values = columns.reduce((sum, { count }) => sum + count, 0);
    return `${plural(values, 'value')} in ${plural(columns.length, 'column')} (${kind})`;
  });
  return parts.length === 0 ? null : parts.join(', ');
}

function inBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const unit = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10));
  const amount = bytes / 1024 ** unit;
  return `${amount < 10 && unit > 0 ? amount.toFixed(1) : Math.round(amount)} ${units[unit]}`;
}

function plural(count: number, what: string): string {
  return `${whole.format(count)} ${what}${count === 1 ? '' : 's'}`;
}

type Colour = 'green' | 'cyan' | 'yellow' | 'red' | 'dim' | 'bold';

const colours = { good: 'green', busy: 'cyan', warn: 'yellow', bad: 'red' } as const satisfies Record<Tone, Colour>;

/** Plain text where the terminal shows no colours or NO_COLOR is set. */
function paint(text: string, colour: Colour): string {
  return styleText(colour, text, { stream: process.stdout });
}
