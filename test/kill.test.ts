import { expect, test } from 'vitest';
import { compareDatabases, isEqual } from '../sandbox/compare.ts';
import { RunProcess } from '../sandbox/run-process.ts';
import { killAgainAndAgain } from './kill/kill-run.ts';
import { createReplica } from '../sandbox/replica.ts';
import { sharedServers } from './support/shared-servers.ts';

const kills = 20;

test(
  `${kills} kills at failpoints and at random moments, snapshot included: nothing lost, doubled or torn`,
  { timeout: 400_000 },
  async () => {
    const { source, target } = sharedServers();
    const replica = await createReplica(source, target);
    const seed = Number(process.env['TIDEGATE_TEST_SEED'] ?? Date.now() % 1_000_000);
    const deaths: string[] = [`seed ${seed}`];
    try {
      const sourceOptions = { host: source.host, port: source.port, user: source.user, password: source.password };
      const result = await killAgainAndAgain({
        source: { ...sourceOptions, database: replica.database },
        target: replica.targetAdminOptions,
        schema: replica.schema,
        env: replica.env,
        kills,
        seed,
        sizes: { wide: 150_000, composite: 60_000, myisam: 80_000 },
        mixed: source.flavor === 'mariadb',
        say: (death) => deaths.push(death),
      });
      await new RunProcess(replica.env, ['--until-caught-up']).succeeded();
      const compared = await compareDatabases({
        source: sourceOptions,
        database: replica.database,
        target: replica.targetAdminOptions,
        schema: replica.schema,
      });
      const history = deaths.join('\n');
      expect(
        compared.filter((table) => !isEqual(table)),
        history,
      ).toEqual([]);
      expect(compared.length, history).toBe(8);
      expect(result.violations, history).toEqual([]);
      expect(result.polls, history).toBeGreaterThan(20);
      expect(result.phases['snapshot'] ?? 0, history).toBeGreaterThan(0);
    } finally {
      await replica.drop();
    }
  },
);
