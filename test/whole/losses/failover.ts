import type { Connection, RowDataPacket } from 'mysql2/promise';
import mysql from 'mysql2/promise';
import { compareDatabases, isEqual } from '../../../testing/compare/compare.ts';
import type { SeededRandom } from '../../../testing/random/seeded-random.ts';
import { createReplica } from '../../../testing/replica.ts';
import { RunProcess } from '../../../testing/run-process.ts';
import type { SourceServer, TargetServer } from '../../../testing/servers/server.ts';
import { startSource } from '../../../testing/servers/source.ts';
import { runCli } from '../../support/cli.ts';
import { dialects } from '../../support/replication-dialects.ts';

/** What happened in one failover. */
export interface Failover {
  /** Transactions that the service applied and the new server lacks. */
  readonly lost: number;
  readonly isRefused: boolean;
  readonly wrong: readonly string[];
}

/** The first server dies, and a replica that lags by 0 to 50 transactions takes its place, with transactions of its own. */
export async function failover(
  flavor: 'mariadb' | 'mysql',
  target: TargetServer,
  random: SeededRandom,
): Promise<Failover> {
  const dialect = dialects[flavor];
  const options = (id: number) => ({
    flavor,
    args: [
      `--server-id=${id}`,
      ...(flavor === 'mariadb' ? ['--log-slave-updates'] : ['--gtid-mode=ON', '--enforce-gtid-consistency=ON']),
    ],
    asProcess: true,
  });
  const first = await startSource(options(101));
  const second = await startSource(options(102));
  const sessions = { first: await connect(first), second: await connect(second) };
  for (let file = random.int(0, 4); file > 0; file--) await sessions.first.query('flush binary logs');
  await sessions.first.query(`create user follower@'%' identified by 'follower'`);
  await sessions.first.query(`grant replication slave on *.* to follower@'%'`);
  await sessions.second.query(dialect.follow(first.host, first.port));
  await sessions.second.query(dialect.start);
  const replica = await createReplica(first, target);
  const { database } = replica;
  let id = 0;
  const write = async (session: Connection, transactions: number, note: string) => {
    for (let n = 0; n < transactions; n++)
      await session.query(`insert into ${database}.visit values (${++id}, '${note}')`);
  };
  const wrong: string[] = [];
  const moved = { ...replica.env, SOURCE_DB_HOST: second.host, SOURCE_DB_PORT: String(second.port) };
  let run = new RunProcess(replica.env);
  const applied = async (count: number) => {
    for (;;) {
      if (!run.running) throw new Error(`run has ended:\n${run.tail()}`);
      const { rows } = await replica.targetAdmin.query<{ rows: string }>('select count(*) as rows from raw.visit');
      if (Number(rows[0]?.rows) === count) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  try {
    await sessions.first.query(`create table ${database}.visit (id int not null primary key, note varchar(40))`);
    await run.logged('streaming');
    await write(sessions.first, random.int(1, 30), 'kept');
    const [[row]] = await sessions.first.query<RowDataPacket[]>(dialect.applied);
    await sessions.second.query(dialect.wait, [row?.['gtid']]);
    await sessions.second.query(dialect.stop);
    const kept = id;
    const lost = random.pick([0, 1, 5, 50]);
    await write(sessions.first, lost, 'lost');
    await applied(id);
    await run.stop();
    await first.stop();
    id = kept;
    await write(sessions.second, random.pick([0, 1, 5, 50, 200]), 'next');
    run = new RunProcess(moved);
    const rowsNow = id;
    const outcome = await Promise.race([
      run.logged('refused').then(() => 'refused' as const),
      run.logged('streaming').then(() => 'streaming' as const),
    ]);
    const isRefused = outcome === 'refused';
    if (lost > 0 && !isRefused) wrong.push(`MISSED: ${lost} transactions`);
    if (lost === 0 && isRefused) wrong.push('INVENTED');
    if (isRefused) {
      const { code, stdout, stderr } = await runCli(['resync', '--yes'], moved);
      if (code !== 0) wrong.push(`resync ended with ${code}: ${stdout}${stderr}`);
      await run.logged('streaming');
    }
    await applied(rowsNow);
    await run.stop();
    const compared = await compareDatabases({
      source: { host: second.host, port: second.port, user: second.user, password: second.password },
      database,
      target: replica.targetAdminOptions,
      schema: replica.schema,
    });
    wrong.push(...compared.filter((table) => !isEqual(table)).map((table) => `UNEQUAL ${JSON.stringify(table)}`));
    return { lost, isRefused, wrong };
  } finally {
    await run.kill();
    for (const session of Object.values(sessions)) session.destroy();
    await replica.drop();
    await Promise.all([first.stop().catch(() => undefined), second.stop()]);
  }
}

async function connect({ host, port, user, password }: SourceServer): Promise<Connection> {
  return await mysql.createConnection({ host, port, user, password });
}
