import { parseArgs } from 'node:util';
import { bundleProgram } from '../../testing/program.ts';
import { SeededRandom } from '../../testing/random/seeded-random.ts';
import { startSource } from '../../testing/servers/source.ts';
import { startTarget } from '../../testing/servers/target.ts';
import { failover } from './losses/failover.ts';
import { Losses } from './losses/power-loss.ts';
import { type Repair, TornSource, repairs } from './losses/torn.ts';

/**
 * Takes transactions away from the source that the target may have: `npm run losses -- [--rounds 100] [--failovers 20] [--torn 0]
 * [--repair 'by hand,at start,nobody'] [--seed N] [--source mariadb|mariadb-sync|mysql|mysql-no-gtid]`. In a round the power fails, and the
 * disk is as it was up to ten seconds before. In a failover, a replica that lags takes the place of the source. `--torn`: how often MariaDB
 * is killed in a MyISAM statement. Every loss must be found, none invented, and all be equal in the end. Exit code 1 when something is not
 * as it must be.
 */
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '100' },
    failovers: { type: 'string', default: '20' },
    torn: { type: 'string', default: '0' },
    repair: { type: 'string', default: 'by hand,at start,nobody' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    source: { type: 'string', default: 'mariadb' },
  },
});
const withGtids = ['--gtid-mode=ON', '--enforce-gtid-consistency=ON'];
const sources = {
  mariadb: { flavor: 'mariadb', args: ['--sync-binlog=0'], gtids: 'domains' },
  'mariadb-sync': {
    flavor: 'mariadb',
    args: ['--sync-binlog=1', '--innodb-flush-log-at-trx-commit=1'],
    gtids: 'domains',
  },
  mysql: { flavor: 'mysql', args: withGtids, gtids: 'sources' },
  'mysql-no-gtid': { flavor: 'mysql', args: ['--gtid-mode=OFF'], gtids: 'none' },
} as const;

await bundleProgram();
const startedAt = Date.now();
process.exitCode = await losses(new SeededRandom(Number(values.seed)));

async function losses(random: SeededRandom): Promise<number> {
  const options = sources[values.source as keyof typeof sources];
  if (options === undefined) throw new Error(`--source must be one of ${Object.keys(sources).join(', ')}`);
  const source = await startSource({ flavor: options.flavor, args: [...options.args], asProcess: true });
  const target = await startTarget();
  const total = {
    rounds: 0,
    lost: 0,
    refused: 0,
    failovers: 0,
    'failovers lost': 0,
    'failovers refused': 0,
    torn: 0,
    wrong: 0,
  };
  const take = (wrong: readonly string[]) => {
    total.wrong += wrong.length;
    for (const what of wrong) say(`WRONG ${what}`);
  };
  try {
    const power = await Losses.start({ source, target }, random.fork('power'), options.gtids);
    try {
      while (total.rounds < Number(values.rounds)) {
        const { isLost, isRefused, isStopped, again, lostMs, wrong } = await power.next();
        total.rounds++;
        total.lost += Number(isLost);
        total.refused += Number(isRefused);
        say(
          `round ${total.rounds}, ${seconds()} s: ${lostMs} ms taken away, service ${isStopped ? 'stopped' : 'running'}, ${again} transactions again: ${isLost ? 'lost' : 'nothing lost'}, ${isRefused ? 'refused' : 'went on'}`,
        );
        take(wrong);
      }
    } finally {
      await power.end();
    }
    while (options.gtids !== 'none' && total.failovers < Number(values.failovers)) {
      const { lost, isRefused, wrong } = await failover(options.flavor, target, random);
      total.failovers++;
      total['failovers lost'] += Number(lost > 0);
      total['failovers refused'] += Number(isRefused);
      say(`failover ${total.failovers}, ${seconds()} s: ${lost} lost, ${isRefused ? 'refused' : 'went on'}`);
      take(wrong);
    }
    const kinds = (Object.keys(repairs) as Repair[]).filter((repair) => values.repair.split(',').includes(repair));
    for (const [index, repair] of kinds.entries()) {
      const share = (Number(values.torn) * (index + 1)) / kinds.length;
      if (total.torn >= share) continue;
      const torn = await TornSource.start(target, random.fork(`torn ${repair}`), repair);
      try {
        while (total.torn < share) {
          const { verb, rows, isMarked, isTwofold, wrong } = await torn.next();
          total.torn++;
          say(
            `torn ${total.torn}, ${seconds()} s: ${verb}, repaired ${repair === 'nobody' ? 'by nobody, then by hand' : repair}, ${rows} rows left${isMarked ? ', could not be read before' : ''}${isTwofold ? ', other rows by scan than by key before' : ''}: ${wrong.length > 0 ? 'NOT EQUAL' : 'equal by itself'}`,
          );
          take(wrong);
        }
      } finally {
        await torn.end();
      }
    }
  } finally {
    await Promise.all([source.stop(), target.stop()]);
  }
  say(`${values.source} ${source.version}, seed ${values.seed}, ${seconds()} s: ${JSON.stringify(total)}`);
  return total.wrong === 0 ? 0 : 1;
}

function seconds(): number {
  return Math.round((Date.now() - startedAt) / 1_000);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
