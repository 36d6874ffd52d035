import type { SeededRandom } from '../../../testing/random/seeded-random.ts';
import { type Fault, type FaultKind, type Step, faultKinds, phases } from './scenario.ts';

/**
 * Faults in a random order, in groups for one play each: at most one of a phase. The first groups are a fair sample of all of them.
 */
export function inGroups(faults: readonly Fault[], random: SeededRandom): Fault[][] {
  const queues = phases.map((phase) =>
    shuffled(
      faults.filter(({ step }) => step.phase === phase),
      random,
    ),
  );
  const count = Math.max(0, ...queues.map(({ length }) => length));
  // Each queue is spread over all the plays.
  const plays = Array.from({ length: count }, (): Fault[] => []);
  for (const queue of queues)
    for (const [at, fault] of queue.entries()) plays[Math.floor((at * count) / queue.length)]?.push(fault);
  return plays;
}

/** Each kind of fault at each of these steps. */
export function faultsAt(steps: readonly Step[], kinds: readonly FaultKind[], random: SeededRandom): Fault[] {
  return steps.flatMap((step) => kinds.map((kind) => ({ step, kind: random.pick(faultKinds[kind]) })));
}

export function inWords({ kind, step: { side, phase, shape } }: Fault): string {
  return `${kind}: ${side}, ${phase}: ${shape}`;
}

function shuffled<T>(items: readonly T[], random: SeededRandom): T[] {
  return items
    .map((item) => ({ item, at: random.next() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
