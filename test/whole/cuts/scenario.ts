import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from 'mysql2/promise';
import { compareDatabases, isEqual } from '../../../testing/compare/compare.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { RunProcess } from '../../../testing/run-process.ts';
import type { SourceServer, TargetServer } from '../../../testing/servers/server.ts';
import { runCli } from '../../support/cli.ts';
import { type PacketFault, Proxy } from '../../support/proxy.ts';
import { shapeOf } from './shape.ts';

/** What the service does, in this order. A fault is planned for one of them. */
export const phases = ['start', 'stream', 'jobs', 'stop'] as const;
export type Phase = (typeof phases)[number];
export type Side = 'source' | 'target';

/** One place at which a connection is broken: the first packet of this shape in this phase. */
export interface Step {
  readonly side: Side;
  readonly phase: Phase;
  readonly shape: string;
}

export interface Outcome {
  /** Every step that the run came by. */
  readonly steps: readonly Step[];
  /** Connections that were broken. */
  readonly cuts: number;
  /** What was not as it must be; empty: it came right by itself. */
  readonly wrong: readonly string[];
}

/** The service has to be right again by itself after so long, and to end so soon. */
const patienceMs = 90_000;
const stopMs = 15_000;

/**
 * Starts a service behind two proxies, lets it copy, stream, do jobs and stop, and breaks one connection on the way. It must neither end
 * before it is told to nor hang, and the target must be equal to the source.
 */
export async function play(
  servers: { readonly source: SourceServer; readonly target: TargetServer },
  step: Step | null,
  kind: PacketFault,
): Promise<Outcome> {
  const replica = await createReplica(servers.source, servers.target);
  await using source = await Proxy.start(servers.source);
  await using target = await Proxy.start(servers.target);
  const proxies = { source, target };
  const steps = new Map<string, Step>();
  const wrong: string[] = [];
  let phase: Phase = 'start';
  for (const side of ['source', 'target'] as const)
    proxies[side].onPacket = (packet) => {
      const seen: Step = { side, phase, shape: shapeOf(side, packet) };
      steps.set(JSON.stringify(seen), seen);
    };
  const enter = (next: Phase) => {
    phase = next;
    if (step?.phase === phase)
      proxies[step.side].faultAtPacket(kind, 1, (packet) => shapeOf(step.side, packet) === step.shape);
  };
  const env = {
    ...replica.env,
    ...{ SOURCE_DB_HOST: source.host, SOURCE_DB_PORT: String(source.port) },
    ...{ TARGET_DB_HOST: target.host, TARGET_DB_PORT: String(target.port) },
    TABLES_REFRESH: 'keyless',
  };
  const admin = await replica.sourceAdmin();
  let run: RunProcess | undefined;
  try {
    await fill(admin);
    enter('start');
    run = new RunProcess(env);
    await until(run, 'it streams', async () => await Promise.resolve(run?.find('streaming') !== undefined));
    enter('stream');
    await change(admin, 1);
    await change(admin, 2);
    await isThere(run, replica, 2);
    enter('jobs');
    // By another way than the service, so that only the service meets the fault.
    const asked = await runCli(['backfill', 'patient', 'visit', 'keyless', '--detach'], replica.env);
    if (asked.code !== 0) wrong.push(`the backfill was not taken: ${asked.stderr}`);
    await change(admin, 3);
    await until(run, 'the jobs are done', async () => {
      const { rows } = await replica.targetAdmin.query<{ open: number }>(
        `select count(*)::int as open from tidegate_raw.jobs where state in ('waiting', 'running')`,
      );
      return rows[0]?.open === 0;
    });
    const failed = await replica.targetAdmin.query(`select reason from tidegate_raw.jobs where state = 'failed'`);
    if (failed.rowCount !== 0) wrong.push(`a job failed: ${JSON.stringify(failed.rows)}`);
    await isThere(run, replica, 3);
    wrong.push(...(await differences(servers.source, replica)));
    enter('stop');
    run.signal('SIGTERM');
    const end = await Promise.race([run.exited, sleep(stopMs, null, { ref: false })]);
    if (end === null) wrong.push(`it did not end within ${stopMs / 1000} s:\n${run.tail()}`);
    else if (end.code !== 0) wrong.push(`it ended with ${end.code ?? end.signal}:\n${run.tail()}`);
    const suspended = await replica.targetAdmin.query(
      `select table_name, reason from tidegate_raw.tables where state not in ('streaming', 'full-refresh')`,
    );
    if (suspended.rowCount !== 0) wrong.push(`tables are not as they were: ${JSON.stringify(suspended.rows)}`);
  } catch (error) {
    wrong.push(error instanceof Error ? error.message : String(error));
  } finally {
    await run?.kill();
    admin.destroy();
    await replica.drop();
  }
  return { steps: [...steps.values()], cuts: source.cuts + target.cuts, wrong };
}

/** A table of each kind: with one key, with MyISAM, with a text key, and without a key. */
async function fill(admin: Connection): Promise<void> {
  await admin.query('create table patient (id int not null primary key, name varchar(40)) engine=InnoDB');
  await admin.query('create table visit (id int not null primary key, note text) engine=MyISAM');
  await admin.query('create table code (code varchar(20) not null primary key, n int) engine=InnoDB');
  await admin.query('create table keyless (n int, note varchar(40)) engine=InnoDB');
  await admin.query('create table round (n int not null primary key) engine=InnoDB');
  for (let id = 1; id <= 40; id += 10) {
    const rows = Array.from({ length: 10 }, (_, n) => id + n);
    await admin.query(`insert into patient values ${rows.map((n) => `(${n}, 'patient ${n}')`).join(', ')}`);
    await admin.query(`insert into visit values ${rows.map((n) => `(${n}, 'visit ${n}')`).join(', ')}`);
    await admin.query(`insert into code values ${rows.map((n) => `('code ${n}', ${n})`).join(', ')}`);
    await admin.query(`insert into keyless values ${rows.map((n) => `(${n}, 'line ${n}')`).join(', ')}`);
  }
}

async function change(admin: Connection, round: number): Promise<void> {
  await admin.query(`update patient set name = concat(name, ' ${round}') where id % 3 = ${round % 3}`);
  await admin.query(`delete from visit where id = ${round}`);
  await admin.query(`insert into visit values (${100 + round}, 'round ${round}')`);
  await admin.query(`update code set n = n + 1 where n < ${round * 10}`);
  await admin.query(`insert into round values (${round})`);
}

async function isThere(run: RunProcess, replica: Replica, round: number): Promise<void> {
  await until(run, `round ${round} is at the target`, async () => {
    const { rowCount } = await replica.targetAdmin.query(`select from raw.round where n = ${round}`);
    return rowCount === 1;
  });
}

async function until(run: RunProcess, what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + patienceMs;
  while (!(await holds())) {
    if (!run.running) throw new Error(`run has ended; waited until ${what}:\n${run.tail()}`);
    if (Date.now() > deadline) throw new Error(`not within ${patienceMs / 1000} s: ${what}\n${run.tail()}`);
    await sleep(20);
  }
}

async function differences(source: SourceServer, replica: Replica): Promise<string[]> {
  const compared = await compareDatabases({
    source: { host: source.host, port: source.port, user: source.user, password: source.password },
    database: replica.database,
    target: replica.targetAdminOptions,
    schema: replica.schema,
  });
  return compared.filter((table) => !isEqual(table)).map(({ table, examples }) => `${table}: ${examples.join('; ')}`);
}
