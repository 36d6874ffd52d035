import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from 'mysql2/promise';
import { describe, expect, test } from 'vitest';
import { type Replica, createReplica } from '../../testing/replica.ts';
import { RunProcess } from '../../testing/run-process.ts';
import { runCli } from '../support/cli.ts';
import { Proxy } from '../support/proxy.ts';
import { sharedServers } from '../support/shared-servers.ts';

/** A stop asks for ten seconds of work and hangs up then. What is left must be quick. */
const stopMs = 15_000;
const rows = 30_000;

interface Stage {
  readonly replica: Replica;
  readonly admin: Connection;
  readonly source: Proxy;
  readonly target: Proxy;
  /** Settings that lead through both proxies. */
  readonly env: Readonly<Record<string, string>>;
}

/** A table to copy, and a service that is ended whatever happens. */
async function onStage(work: (stage: Stage, start: () => RunProcess) => Promise<void>): Promise<void> {
  const servers = sharedServers();
  const replica = await createReplica(servers.source, servers.target);
  await using source = await Proxy.start(servers.source);
  await using target = await Proxy.start(servers.target);
  const admin = await replica.sourceAdmin();
  const runs: RunProcess[] = [];
  const env = {
    ...replica.env,
    ...{ SOURCE_DB_HOST: source.host, SOURCE_DB_PORT: String(source.port) },
    ...{ TARGET_DB_HOST: target.host, TARGET_DB_PORT: String(target.port) },
  };
  try {
    await admin.query('create table visit (id int not null primary key, note varchar(60)) engine=InnoDB');
    for (let id = 1; id <= rows; id += 1_000) {
      const values = Array.from({ length: 1_000 }, (_, n) => `(${id + n}, 'a note of some length')`);
      await admin.query(`insert into visit values ${values.join(', ')}`);
    }
    await work({ replica, admin, source, target, env }, () => {
      const run = new RunProcess(env);
      runs.push(run);
      return run;
    });
  } finally {
    source.mode = target.mode = 'pass';
    for (const run of runs) await run.kill();
    admin.destroy();
    await replica.drop();
  }
}

async function copied({ replica }: Stage): Promise<number> {
  const { rows: found } = await replica.targetAdmin.query<{ n: number }>(
    `select coalesce(sum(copied_rows), 0)::int as n from tidegate_raw.tables`,
  );
  return found[0]?.n ?? 0;
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 60_000; !(await holds()); await sleep(20))
    if (Date.now() > deadline) throw new Error('not within 60 s');
}

/** Whether the log says which server is silent. */
function reports(run: RunProcess, side: 'source' | 'target'): boolean {
  return run.lines.some(({ msg, reason, err }) =>
    msg === 'stalled'
      ? reason === `${side}-silent`
      : (err as { kind?: string } | undefined)?.kind === `${side}-unreachable`,
  );
}

/** Starts the service, and lets a side fall silent in the midst of the first copy. */
async function silentInCopy(stage: Stage, start: () => RunProcess, side: 'source' | 'target'): Promise<RunProcess> {
  // Each packet waits a little, so that the copy takes long enough to be met.
  stage[side].delayMs = 30;
  const run = start();
  await until(async () => (await copied(stage).catch(() => 0)) > 0);
  stage[side].delayMs = 0;
  stage[side].mode = 'swallow';
  return run;
}

async function expectStop(run: RunProcess): Promise<void> {
  run.signal('SIGTERM');
  const end = await Promise.race([run.exited, sleep(stopMs, null, { ref: false })]);
  expect(end, run.tail()).toMatchObject({ code: 0 });
}

describe.concurrent('while a server is silent', () => {
  test.each(['source', 'target'] as const)(
    'a first copy reports it (%s), and goes on once the server speaks again',
    async (side) => {
      await onStage(async (stage, start) => {
        const run = await silentInCopy(stage, start, side);
        // A silent PostgreSQL does not renew the lease, either, and that may be noticed first.
        await until(async () => await Promise.resolve(reports(run, side)));
        stage[side].mode = 'pass';
        await run.logged('streaming');
        expect((await stage.replica.targetAdmin.query('select from raw.visit')).rowCount).toBe(rows);
        await expectStop(run);
      });
    },
  );

  test.each(['source', 'target'] as const)('a service that copies is stopped (%s)', async (side) => {
    await onStage(async (stage, start) => await expectStop(await silentInCopy(stage, start, side)));
  });

  test.each(['source', 'target'] as const)('a service that streams is stopped (%s)', async (side) => {
    await onStage(async (stage, start) => {
      const run = start();
      await run.logged('streaming');
      stage[side].mode = 'swallow';
      await stage.admin.query(`update visit set note = 'another' where id < 1000`);
      await expectStop(run);
    });
  });

  test.each(['source', 'target'] as const)('a service that still checks is stopped (%s)', async (side) => {
    await onStage(async (stage, start) => {
      stage[side].mode = 'swallow';
      const run = start();
      await run.logged('starting');
      await until(async () => await Promise.resolve(stage[side].connections > 0));
      await expectStop(run);
    });
  });

  test('a standby is stopped', async () => {
    await onStage(async (stage, start) => {
      const holder = new RunProcess(stage.replica.env);
      try {
        await holder.logged('streaming');
        const standby = start();
        await standby.logged('standby');
        stage.target.mode = 'swallow';
        await expectStop(standby);
      } finally {
        await holder.kill();
      }
    });
  });
});

test('a job whose connection falls silent begins again, and the service reports that it moves again', async () => {
  await onStage(async (stage, start) => {
    const run = start();
    await run.logged('streaming');
    const frozen = stage.target.faultAtPacket('freeze', 1, (packet) => packet.includes('copy (select t."id"'));
    expect(await runCli(['backfill', 'visit', '--detach'], stage.replica.env)).toMatchObject({ code: 0 });
    await run.logged('stalled', ({ reason }) => reason === 'target-silent');
    expect(frozen.isMet).toBe(true);
    await run.logged('job finished');
    await run.logged('moves again');
    expect(run.find('retrying')).toBeUndefined();
    await expectStop(run);
  });
});

test('a service that starts before its servers can be reached waits for them', async () => {
  await onStage(async (stage, start) => {
    stage.source.mode = stage.target.mode = 'refuse';
    const run = start();
    await run.logged('the checks are repeated');
    stage.source.mode = stage.target.mode = 'pass';
    await run.logged('streaming');
    await expectStop(run);
  });
});
