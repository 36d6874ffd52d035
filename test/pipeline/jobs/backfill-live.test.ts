import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startSource } from '../../../testing/servers/source.ts';
import type { SourceServer } from '../../../testing/servers/server.ts';
import { DriftRound } from '../../whole/drift-round.ts';
import { sharedServers } from '../../support/shared-servers.ts';

const seed = Number(process.env['TIDEGATE_TEST_SEED'] ?? Date.now() % 1_000_000);

/**
 * These servers pause between the binlog and the engine's commit. During the pause a row is logged and sent to replicas, but is
 * not yet visible.
 */
const setups = [
  {
    name: 'MariaDB, InnoDB',
    server: { flavor: 'mariadb', args: ['--binlog-commit-wait-count=4', '--binlog-commit-wait-usec=20000'] },
    engine: 'InnoDB',
  },
  { name: 'MariaDB, MyISAM', server: { flavor: 'mariadb', args: ['--sync-binlog=0'] }, engine: 'MyISAM' },
  {
    name: 'MySQL, InnoDB, GTIDs',
    server: {
      flavor: 'mysql',
      args: [
        ...['--gtid-mode=ON', '--enforce-gtid-consistency=ON', '--sync-binlog=0'],
        ...['--binlog-order-commits=OFF', '--binlog-group-commit-sync-delay=20000'],
      ],
    },
    engine: 'InnoDB',
  },
] as const;

describe.each(setups)('$name', ({ server, engine }) => {
  let source: SourceServer;

  beforeAll(async () => {
    source = await startSource(server);
  });
  afterAll(async () => await source?.stop());

  test('backfills under load, with kills: no row goes back to an older version, and all is equal at the end', async () => {
    const round = await DriftRound.prepare({
      source,
      target: sharedServers().target,
      engine,
      rows: 20_000,
      seed,
      killEverySeconds: engine === 'MyISAM' ? 5 : 3,
      pauseMs: 4,
      say: () => undefined,
    });
    const startedAt = performance.now();
    await round.drift((kills) => performance.now() - startedAt > 8_000 && kills > 0);
    const result = await round.finish();
    await round.replica.drop();
    expect(result.wrong, `seed ${seed}`).toEqual([]);
    expect(result.backfills).toBeGreaterThan(0);
    expect(result.repaired).toBeGreaterThan(0);
  });
});
