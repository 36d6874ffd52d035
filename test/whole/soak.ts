import { parseArgs } from 'node:util';
import { startSource } from '../../testing/servers/source.ts';
import type { SourceServer, TargetServer } from '../../testing/servers/server.ts';
import { startTarget } from '../../testing/servers/target.ts';

import { killRound } from './kill/kill-round.ts';

/**
 * A long kill test: `npm run soak -- [--kills 200] [--per-round 40] [--seed N] [--mysql]`. Each round creates a new replica with
 * a snapshot to interrupt, and ends with a comparison of every row.
 */
const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    'per-round': { type: 'string', default: '40' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    mysql: { type: 'boolean', default: false },
  },
});
process.exitCode = await soak(Number(values.kills), Number(values['per-round']), Number(values.seed), values.mysql);

async function soak(kills: number, perRound: number, seed: number, mysql: boolean): Promise<number> {
  const startedAt = Date.now();
  const source = await startSource(mysql ? { flavor: 'mysql' } : {});
  const target = await startTarget();
  const totals: Record<string, number> = {};
  let wrong = 0;
  try {
    for (let done = 0, round = 0; done < kills; done += perRound, round++) {
      wrong += await soakRound(source, target, Math.min(perRound, kills - done), seed + round, totals);
    }
  } finally {
    await Promise.all([source.stop(), target.stop()]);
  }
  say(
    `${kills} kills in ${Math.round((Date.now() - startedAt) / 1_000)} s, first seed ${seed}: ${wrong === 0 ? 'all equal, nothing torn' : `${wrong} things wrong`}`,
  );
  say(JSON.stringify(totals));
  return wrong === 0 ? 0 : 1;
}

/** Returns the number of faults: unequal tables and broken invariants. */
async function soakRound(
  source: SourceServer,
  target: TargetServer,
  kills: number,
  seed: number,
  totals: Record<string, number>,
): Promise<number> {
  say(`round of ${kills} kills, seed ${seed}`);
  const { replica, wrong, rows, ...result } = await killRound(source, target, {
    kills,
    seed,
    sizes: { wide: 300_000, composite: 100_000, myisam: 150_000 },
    say: (death) => say(`  ${death}`),
  });
  say(
    `  ${result.transactions} transactions at the source, ${rows} rows compared, ${result.polls} looks at the invariants`,
  );
  for (const what of wrong.slice(0, 20)) say(`  ${what}`);
  add(totals, { ...result.deaths, transactions: result.transactions, rows, looks: result.polls });
  for (const [phase, count] of Object.entries(result.phases)) add(totals, { [`during ${phase}`]: count });
  // A faulty replica is kept for inspection until the servers stop.
  if (wrong.length === 0) await replica.drop();
  return wrong.length;
}

function add(totals: Record<string, number>, more: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(more)) totals[name] = (totals[name] ?? 0) + count;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
