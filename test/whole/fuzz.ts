import { parseArgs } from 'node:util';
import { startSource } from '../../testing/servers/source.ts';
import { startTarget } from '../../testing/servers/target.ts';
import { fuzzRound } from './fuzz/round.ts';

/**
 * Replicates random tables and rows through snapshot and stream for the given time:
 * `npm run fuzz -- [--minutes 2] [--seed N] [--source mariadb|mysql] [--source-version 10.5]`. Exit code 1 on any difference.
 */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    source: { type: 'string', default: 'mariadb' },
    'source-version': { type: 'string' },
  },
});
const flavor = values.source === 'mysql' ? 'mysql' : 'mariadb';
process.exitCode = await fuzz(Number(values.minutes), Number(values.seed));

async function fuzz(minutes: number, firstSeed: number): Promise<number> {
  const version = values['source-version'];
  const source = await startSource({ flavor, ...(version === undefined ? {} : { version }) });
  const target = await startTarget();
  const startedAt = Date.now();
  const seconds = () => Math.round((Date.now() - startedAt) / 1000);
  const total = { rounds: 0, tables: 0, snapshotRows: 0, streamRows: 0, compared: 0, differences: 0 };
  try {
    for (let seed = firstSeed; seconds() < minutes * 60; seed++) {
      const round = await fuzzRound(source, target, { seed, tables: 10, rows: 2_500, seconds: 15, writers: 3 });
      total.rounds++;
      total.tables += round.tables;
      total.snapshotRows += round.snapshotRows;
      total.streamRows += round.streamRows;
      total.compared += round.compared;
      total.differences += round.differences.length;
      say(
        `seed ${seed}: ${round.tables} tables, ${round.snapshotRows} rows by snapshot, ${round.streamRows} by stream, ${round.compared} compared, ${round.differences.length} differences, ${seconds()} s`,
      );
      for (const difference of round.differences) say(`  ${difference}`);
      if (round.differences.length > 0) say(`  again: npm run fuzz -- --minutes 0.1 --seed ${seed} --source ${flavor}`);
    }
  } finally {
    await Promise.all([source.stop(), target.stop()]);
  }
  say(
    `${source.flavor} ${source.version}, seeds ${firstSeed} on: ${total.rounds} rounds, ${total.tables} tables, ${total.snapshotRows + total.streamRows} rows (${total.snapshotRows} by snapshot, ${total.streamRows} by stream), ${total.compared} compared, ${total.differences} differences, ${seconds()} s`,
  );
  return total.differences === 0 ? 0 : 1;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
