import { compareDatabases, isEqual } from '../../../testing/compare/compare.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { RunProcess } from '../../../testing/run-process.ts';
import type { SourceServer, TargetServer } from '../../../testing/servers/server.ts';
import { type KillRunOptions, killAgainAndAgain } from './kill-run.ts';

/** The number of tables that killAgainAndAgain creates. */
const tables = 8;

/** Creates a replica, kills its service again and again, and compares every row at the end. */
export async function killRound(
  source: SourceServer,
  target: TargetServer,
  options: Pick<KillRunOptions, 'kills' | 'seed' | 'sizes' | 'say'>,
) {
  const replica: Replica = await createReplica(source, target);
  const { host, port, user, password } = source;
  const result = await killAgainAndAgain({
    ...options,
    source: { host, port, user, password, database: replica.database },
    target: replica.targetAdminOptions,
    schema: replica.schema,
    env: replica.env,
    mixed: source.flavor === 'mariadb',
  });
  await new RunProcess(replica.env, ['--until-caught-up']).succeeded();
  const compared = await compareDatabases({
    source: { host, port, user, password },
    database: replica.database,
    target: replica.targetAdminOptions,
    schema: replica.schema,
  });
  const wrong = [
    ...compared.filter((table) => !isEqual(table)).map((table) => `UNEQUAL ${JSON.stringify(table)}`),
    ...result.violations.map(({ at, what }) => `TORN at ${at}: ${what}`),
    ...(compared.length === tables ? [] : [`${compared.length} tables instead of ${tables}`]),
  ];
  return { replica, ...result, wrong, rows: compared.reduce((sum, { sourceRows }) => sum + sourceRows, 0) };
}
