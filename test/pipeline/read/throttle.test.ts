import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Config } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load-config.ts';
import { Scope } from '../../../src/lifetime/scope.ts';
import { SourceConnection } from '../../../src/mysql/connection.ts';
import { OnDemandConnection } from '../../../src/mysql/on-demand-connection.ts';
import { SourceDelay } from '../../../src/mysql/source-delay.ts';
import { type Pace, Throttle } from '../../../src/pipeline/read/throttle.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { RunProcess } from '../../../testing/run-process.ts';
import { startSource } from '../../../testing/servers/source.ts';
import type { SourceServer } from '../../../testing/servers/server.ts';
import { sharedServers } from '../../support/shared-servers.ts';

/** The counters are those of the entire server, so this suite starts its own. */
let source: SourceServer;
let replica: Replica;
let config: Config;

beforeAll(async () => {
  source = await startSource({ args: ['--max-connections=200'] });
  replica = await createReplica(source, sharedServers().target);
  config = loadConfig(replica.env);
  const admin = await replica.sourceAdmin();
  await admin.query('create table visit (id int not null primary key, note varchar(40)) engine=InnoDB');
  await admin.query("insert into visit select seq, 'x' from seq_1_to_20000");
  await admin.end();
});

afterAll(async () => {
  await replica?.drop();
  await source?.stop();
});

/** Runs a statement in as many sessions, until they are ended. */
async function run(count: number, sql: string): Promise<{ end: () => Promise<void> }> {
  const sessions = await Promise.all(Array.from({ length: count }, async () => await replica.sourceAdmin()));
  const ended = sessions.map(async (session) => {
    // Rows that are joined in a buffer need no calls to the engine.
    await session.query('set join_cache_level = 0');
    await session.query(sql).catch(() => undefined);
    session.destroy();
  });
  return {
    end: async () => {
      // A server does not notice that the client of a running statement is gone.
      const admin = await replica.sourceAdmin();
      for (const { threadId } of sessions) await admin.query(`kill ${threadId}`).catch(() => undefined);
      await Promise.all(ended);
      await admin.end();
    },
  };
}

test('a copy does not wait for 26 statements that sleep', async () => {
  const asleep = await run(26, 'select sleep(600)');
  const copy = new RunProcess(replica.env, ['--until-caught-up']);
  try {
    await copy.logged('table copied', (line) => line['rows'] === 20_000);
    await copy.succeeded();
    expect(copy.find('snapshot waits: the source is busy')).toBeUndefined();
  } finally {
    await copy.kill();
    await asleep.end();
  }
});

test('a copy waits while as many statements work as SOURCE_BUSY_AT, and reads a chunk now and then all the same', async () => {
  const atWork = await run(3, 'select count(*) from visit a join visit b where a.id + b.id < 0');
  const reader = await SourceConnection.open(new Scope(), config.source, 'reader');
  const replicator = new OnDemandConnection(
    async () => await SourceConnection.open(new Scope(), config.source, 'replicator'),
  );
  const paces: Pace[] = [];
  const listener = { pace: (pace: Pace) => void paces.push(pace), chunk: () => undefined };
  const everyMs = 2_000;
  const throttle = new Throttle({ ...config, sourceBusyAt: 3 }, new SourceDelay(replicator), listener, {
    waitMs: 1_500,
    everyMs,
  });
  const readAt: number[] = [];
  const chunk = async () => {
    await throttle.chunk(
      () => reader,
      async () => await Promise.resolve({ elapsedMs: 0, at: readAt.push(performance.now()) }),
      new AbortController().signal,
    );
  };
  try {
    for (let i = 0; i < 3; i++) await chunk();
    expect(paces).toEqual(['waiting', 'trickling']);
    const [first = 0, second = 0, third = 0] = readAt;
    expect(Math.min(second - first, third - second)).toBeGreaterThanOrEqual(everyMs);
    await atWork.end();
    await expect.poll(async () => await chunk().then(() => paces.at(-1))).toMatch(/^(free|considerate)$/);
  } finally {
    await atWork.end();
    await Promise.all([reader.close(), replicator.close()]);
  }
});
