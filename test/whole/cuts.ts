import { parseArgs } from 'node:util';
import { bundleProgram } from '../../testing/program.ts';
import { SeededRandom } from '../../testing/random/seeded-random.ts';
import { startSource } from '../../testing/servers/source.ts';
import { startTarget } from '../../testing/servers/target.ts';
import { faultsAt, inGroups, inWords } from './cuts/plan.ts';
import { type Fault, type FaultKind, type Phase, faultKinds, phases, play } from './cuts/scenario.ts';

/**
 * Breaks one connection at each kind of statement that a service sends while it starts, copies, streams, does jobs, stops and is started
 * again after a resync: `npm run cuts -- [--minutes 60] [--seed N] [--source mariadb|mysql] [--kinds cut,freeze] [--only TEXT]
 * [--at-once 6] [--list]`. Without --minutes it goes through all of them. Exit code 1 when one did not come right by itself.
 */
const allKinds = Object.keys(faultKinds) as FaultKind[];
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: 'Infinity' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    source: { type: 'string', default: 'mariadb' },
    kinds: { type: 'string', default: allKinds.join(',') },
    only: { type: 'string', default: '' },
    list: { type: 'boolean', default: false },
    'at-once': { type: 'string', default: '6' },
  },
});
const linesEveryMs = 60_000;
process.exitCode = await cuts();

async function cuts(): Promise<number> {
  const flavor = values.source === 'mysql' ? 'mysql' : 'mariadb';
  const kinds = allKinds.filter((kind) => values.kinds.split(',').includes(kind));
  await bundleProgram();
  const source = await startSource({ flavor, args: ['--max-connections=1000'] });
  const target = await startTarget({ args: ['-c', 'max_connections=400'] });
  const servers = { source, target };
  const startedAt = Date.now();
  const total = { plays: 0, played: 0, met: 0, wrong: 0 };
  const unmet: Fault[] = [];
  try {
    const clean = await play(servers, []);
    if (clean.wrong.length > 0) throw new Error(`without a fault: ${clean.wrong.join('\n')}`);
    const random = new SeededRandom(Number(values.seed));
    const faults = faultsAt(clean.steps, kinds, random).filter((fault) => inWords(fault).includes(values.only));
    const queue = inGroups(faults, random);
    const perPhase = (phase: Phase) => clean.steps.filter((step) => step.phase === phase).length;
    say(
      `${flavor} ${source.version}: ${clean.steps.length} kinds of statements (${phases.map((phase) => `${phase} ${perPhase(phase)}`).join(', ')}), ${faults.length} faults in ${queue.length} plays, seed ${values.seed}`,
    );
    if (values.list) for (const step of clean.steps) say(`${step.side}, ${step.phase}: ${step.shape}`);
    const isTimeOver = () => values.list || Date.now() - startedAt > Number(values.minutes) * 60_000;
    const lines = setInterval(() => say(summary(total, startedAt)), linesEveryMs);
    const work = async () => {
      for (let group = queue.shift(); group !== undefined && !isTimeOver(); group = queue.shift()) {
        const { met, wrong } = await play(servers, group);
        total.plays++;
        total.played += group.length;
        // A step that the play did not come by breaks nothing and counts for nothing.
        total.met += met.length;
        unmet.push(...group.filter((fault) => !met.includes(fault)));
        if (wrong.length === 0) continue;
        total.wrong++;
        say(`WRONG: ${met.map(inWords).join('\n    and ')}\n    ${wrong.join('\n').replaceAll('\n', '\n    ')}`);
        // The last one was the first to show it.
        for (const fault of met.length > 1 ? met.toReversed() : []) {
          const alone = await play(servers, [fault]);
          say(`  alone ${alone.wrong.length === 0 ? 'right' : 'WRONG'}: ${inWords(fault)}`);
          if (alone.wrong.length > 0) break;
        }
      }
    };
    await Promise.all(Array.from({ length: Number(values['at-once']) }, work)).finally(() => clearInterval(lines));
  } finally {
    await Promise.all([source.stop(), target.stop()]);
  }
  for (const fault of unmet) say(`not met: ${inWords(fault)}`);
  say(summary(total, startedAt));
  return total.wrong === 0 ? 0 : 1;
}

function summary(total: { plays: number; played: number; met: number; wrong: number }, startedAt: number): string {
  const seconds = Math.round((Date.now() - startedAt) / 1000);
  return `${total.plays} plays with ${total.played} faults: ${total.met} met, ${total.wrong} plays wrong, ${seconds} s`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
