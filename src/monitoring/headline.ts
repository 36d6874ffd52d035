import type { LagReport } from './lag-report.ts';

/** `good`: all is well. `busy`: it works towards that. `warn`: somebody has to look within the day. `bad`: now. */
export type Tone = 'good' | 'busy' | 'warn' | 'bad';

/** The state of the service with all that is worse: never better than the worst table, and never better than what is known. */
export interface Headline {
  readonly tone: Tone;
  /** The state, with the progress of a first copy. */
  readonly state: string;
  /** What is wrong besides, such as `2 tables suspended`. */
  readonly notes: readonly string[];
}

const severity: readonly Tone[] = ['good', 'busy', 'warn', 'bad'];

const stateTones: Readonly<Record<string, Tone>> = {
  ...{ streaming: 'good', standby: 'good', checking: 'busy', snapshotting: 'busy', 'catching-up': 'busy' },
  ...{ refused: 'bad', stalled: 'bad', stopped: 'bad' },
};

/** More lag than this is not all well. */
const longSeconds = 60;

export function headlineOf(report: LagReport): Headline {
  const { state, snapshot, secondsBehind } = report;
  const notes = tableNotes(report);
  const tones = [stateTones[state] ?? 'warn', ...notes.map(({ tone }) => tone)];
  // A first copy has progress instead of lag.
  if (secondsBehind === null ? snapshot === null && state !== 'checking' : secondsBehind > longSeconds)
    tones.push('warn');
  return {
    tone: severity[Math.max(...tones.map((tone) => severity.indexOf(tone)))] as Tone,
    state: snapshot === null ? state : `${state} ${snapshot.percent} %`,
    notes: notes.map(({ text }) => text),
  };
}

interface Note {
  readonly tone: Tone;
  readonly text: string;
}

function tableNotes({ suspendedTables, verifications, failedJobs, deadLetters, leftOutTables }: LagReport): Note[] {
  const lists = [suspendedTables, verifications, failedJobs, deadLetters, leftOutTables];
  const unequal = verifications?.filter(({ isEqual }) => !isEqual) ?? [];
  const refused = leftOutTables?.filter(({ state }) => state === 'refused').flatMap(({ tables }) => tables) ?? [];
  return [
    ...(lists.includes(null) ? [{ tone: 'warn' as const, text: 'state of tables not known' }] : []),
    ...note('bad', suspendedTables?.length ?? 0, 'suspended'),
    ...note('bad', unequal.length, 'not equal'),
    ...note('warn', countTables(failedJobs ?? []), 'with a failed job'),
    ...note('warn', countTables(deadLetters ?? []), 'with dead letters'),
    ...note('warn', refused.length, 'left out'),
  ];
}

function note(tone: Tone, tables: number, what: string): Note[] {
  return tables === 0 ? [] : [{ tone, text: `${tables} table${tables === 1 ? '' : 's'} ${what}` }];
}

function countTables(things: readonly { readonly table: string }[]): number {
  return new Set(things.map(({ table }) => table)).size;
}
