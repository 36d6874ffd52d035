import { readFileSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { TidegateError } from '../../../src/errors/tidegate-error.ts';
import { InvalidValue } from '../../../src/mapping/invalid-value.ts';
import { SeededRandom } from '../../../testing/random/seeded-random.ts';
import { bombCount, damagedEvent, eventBomb } from './events.ts';
import { readDocument } from './documents.ts';
import { damagedGreeting, damagedRows } from './packets.ts';

/** What each input may take. */
const mostMs = 1_000;
const mostBytes = 64 * 1024 * 1024;

export interface Tally {
  inputs: number;
  /** Inputs of each kind. */
  readonly kinds: Map<string, number>;
  /** Inputs by what they led to: the kind of an error, an invalid value, or nothing. */
  readonly outcomes: Map<string, number>;
  slowestMs: number;
  slowest: string;
  /** The most bytes that an input added to what the process occupies, at its peak. */
  largestBytes: number;
  largest: string;
  /** Inputs that led to something else than a clear error, or took more than they may. */
  readonly wrong: string[];
}

const collectGarbage = garbageCollector();

/** Feeds `count` damaged or hostile inputs, one after the other. The number of an input and the seed make it again. */
export function hostileRound(
  seed: number,
  count: number,
  first = 0,
  onInput: (index: number) => void = () => undefined,
): Tally {
  const tally: Tally = {
    ...{
      inputs: 0,
      kinds: new Map(),
      outcomes: new Map(),
      slowestMs: 0,
      slowest: '',
      largestBytes: 0,
      largest: '',
      wrong: [],
    },
  };
  for (let index = first; index < first + count; index++) {
    onInput(index);
    one(new SeededRandom(seed).fork(String(index)), index, tally);
  }
  return tally;
}

/** One in so many inputs is made to fill the memory or to take long. */
const bombsApart = 1_000;

function inputOf(random: SeededRandom, index: number): { kind: string; run: () => void } {
  if (index % bombsApart === 0) {
    const bomb = (index / bombsApart) % bombCount;
    const run = eventBomb(random, bomb);
    // What was left before would hide what the bomb takes.
    collectGarbage();
    return { kind: `bomb ${bomb}`, run };
  }
  const kind = random.next();
  if (kind < 0.55) return { kind: 'event', run: () => damagedEvent(random) };
  if (kind < 0.75) return { kind: 'document', run: () => readDocument(random) };
  if (kind < 0.95) return { kind: 'row packet', run: () => damagedRows(random) };
  return { kind: 'greeting', run: () => damagedGreeting(random) };
}

function one(random: SeededRandom, index: number, tally: Tally): void {
  const { kind, run } = inputOf(random, index);
  const name = `${kind}, input ${index}`;
  const before = occupiedFromHere();
  // Processor time, because the machine may be busy with other things.
  const startedAt = process.cpuUsage();
  let outcome = 'no error';
  try {
    run();
  } catch (error) {
    outcome = outcomeOf(error);
    if (outcome.startsWith('unclear'))
      tally.wrong.push(`${name}: ${outcome}: ${(error as Error).stack?.slice(0, 700)}`);
  }
  const { user, system } = process.cpuUsage(startedAt);
  const ms = (user + system) / 1000;
  const bytes = mostOccupied() - before;
  tally.inputs++;
  tally.kinds.set(kind, (tally.kinds.get(kind) ?? 0) + 1);
  tally.outcomes.set(outcome, (tally.outcomes.get(outcome) ?? 0) + 1);
  if (ms > tally.slowestMs) Object.assign(tally, { slowestMs: ms, slowest: name });
  if (bytes > tally.largestBytes) Object.assign(tally, { largestBytes: bytes, largest: name });
  if (ms > mostMs) tally.wrong.push(`${name}: ${Math.round(ms)} ms`);
  if (bytes > mostBytes) tally.wrong.push(`${name}: ${Math.round(bytes / 1024 / 1024)} MiB`);
}

function outcomeOf(error: unknown): string {
  if (error instanceof InvalidValue) return 'invalid value';
  if (error instanceof TidegateError && error.kind !== 'internal') return error.kind;
  return `unclear: ${error instanceof Error ? error.name : String(error)}`;
}

const status = '/proc/self/status';
const peak = /^VmHWM:\s+(\d+) kB$/m;

/** Bytes that the process occupies now. Where the system keeps the peak, it is counted from here on. */
function occupiedFromHere(): number {
  if (process.platform === 'linux') writeFileSync('/proc/self/clear_refs', '5');
  return process.memoryUsage.rss();
}

function mostOccupied(): number {
  if (process.platform !== 'linux') return process.memoryUsage.rss();
  return Number(peak.exec(readFileSync(status, 'latin1'))?.[1] ?? 0) * 1024;
}

function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
