import { parseArgs } from 'node:util';
import { startSource } from '../../testing/servers/source.ts';
import { startTarget } from '../../testing/servers/target.ts';
import { backfillWhileItDrifts } from './backfill/drift-run.ts';

/**
 * Runs backfills in a loop under load, with kills, on servers where a commit becomes visible late:
 * `npm run soak:backfill -- [--seconds 200] [--seed N] [--only mariadb-innodb|mariadb-myisam|mysql-innodb|mysql-no-gtid]`.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    only: { type: 'string' },
  },
});

/**
 * These servers pause between the binlog and the engine's commit. During the pause a row is logged and sent to replicas, but is
 * not yet visible.
 */
const durable = ['--innodb-flush-log-at-trx-commit=1', '--sync-binlog=0'];
const setups = {
  'mariadb-innodb': {
    server: {
      flavor: 'mariadb',
      args: [...durable, '--binlog-commit-wait-count=4', '--binlog-commit-wait-usec=20000'],
    },
    engine: 'InnoDB',
  },
  'mariadb-myisam': { server: { flavor: 'mariadb', args: durable }, engine: 'MyISAM' },
  'mysql-innodb': {
    server: {
      flavor: 'mysql',
      args: [
        ...durable,
        '--gtid-mode=ON',
        '--enforce-gtid-consistency=ON',
        '--binlog-order-commits=OFF',
        '--binlog-group-commit-sync-delay=20000',
      ],
    },
    engine: 'InnoDB',
  },
  'mysql-no-gtid': {
    server: { flavor: 'mysql', args: [...durable, '--binlog-group-commit-sync-delay=20000'] },
    engine: 'InnoDB',
  },
} as const;

let wrong = 0;
for (const [name, { server, engine }] of Object.entries(setups)) {
  if (values.only !== undefined && values.only !== name) continue;
  const source = await startSource(server);
  const target = await startTarget();
  try {
    const result = await backfillWhileItDrifts({
      source,
      target,
      engine,
      seconds: Number(values.seconds),
      rows: 60_000,
      seed: Number(values.seed),
      killEverySeconds: 12,
      damage: true,
      say: (text) => say(`${name}: ${text}`),
    });
    const faults = [...result.wentBack, ...result.falseAlarms, ...result.unequal];
    for (const text of faults.slice(0, 20)) say(`${name}: WRONG ${text}`);
    wrong += faults.length;
  } finally {
    await Promise.all([source.stop(), target.stop()]);
  }
}
say(wrong === 0 ? `all equal, nothing went back; seed ${values.seed}` : `${wrong} things wrong; seed ${values.seed}`);
process.exitCode = wrong === 0 ? 0 : 1;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
