import { parseArgs } from 'node:util';
import { SeededRandom } from '../../testing/random/seeded-random.ts';
import { startSource } from '../../testing/servers/source.ts';
import { startTarget } from '../../testing/servers/target.ts';
import { type Step, play } from './cuts/scenario.ts';

/**
 * Breaks one connection at each kind of statement that a service sends while it starts, copies, streams, does jobs and stops:
 * `npm run cuts -- [--minutes 60] [--seed N] [--source mariadb|mysql] [--kinds cut,lose-answer,freeze] [--only TEXT]`. Without --minutes it
 * goes through all of them. Exit code 1 when one did not come right by itself.
 */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: 'Infinity' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    source: { type: 'string', default: 'mariadb' },
    kinds: { type: 'string', default: 'cut,lose-answer,freeze' },
    only: { type: 'string', default: '' },
  },
});
const allKinds = ['cut', 'lose-answer', 'freeze'] as const;
process.exitCode = await cuts();

async function cuts(): Promise<number> {
  const flavor = values.source === 'mysql' ? 'mysql' : 'mariadb';
  const kinds = allKinds.filter((kind) => values.kinds.split(',').includes(kind));
  const source = await startSource({ flavor });
  const target = await startTarget();
  const servers = { source, target };
  const startedAt = Date.now();
  const total = { played: 0, counted: 0, wrong: 0 };
  try {
    const clean = await play(servers, null, 'cut');
    if (clean.wrong.length > 0) throw new Error(`without a fault: ${clean.wrong.join('\n')}`);
    const plan = shuffled(
      clean.steps
        .flatMap((step) => kinds.map((kind) => ({ step, kind })))
        .filter(({ step }) => inWords(step).includes(values.only)),
      new SeededRandom(Number(values.seed)),
    );
    say(
      `${flavor} ${source.version}: ${clean.steps.length} kinds of statements, ${plan.length} faults, seed ${values.seed}`,
    );
    for (const { step, kind } of plan) {
      if (Date.now() - startedAt > Number(values.minutes) * 60_000) break;
      const { cuts: broken, wrong } = await play(servers, step, kind);
      total.played++;
      // A step that the run did not come by again breaks nothing and counts for nothing.
      if (broken > 0) total.counted++;
      if (wrong.length > 0) total.wrong++;
      const verdict = wrong.length > 0 ? 'WRONG' : broken > 0 ? 'right' : 'not met';
      say(
        `${verdict}: ${kind}: ${inWords(step)}${wrong.map((text) => `\n    ${text.replaceAll('\n', '\n    ')}`).join('')}`,
      );
    }
  } finally {
    await Promise.all([source.stop(), target.stop()]);
  }
  say(
    `${total.played} played, ${total.counted} met, ${total.wrong} wrong, ${Math.round((Date.now() - startedAt) / 1000)} s`,
  );
  return total.wrong === 0 ? 0 : 1;
}

function inWords({ side, phase, shape }: Step): string {
  return `${side}, ${phase}: ${shape}`;
}

function shuffled<T>(items: readonly T[], random: SeededRandom): T[] {
  return items
    .map((item) => ({ item, at: random.next() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
