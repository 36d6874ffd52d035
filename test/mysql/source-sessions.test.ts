import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Replica, createReplica } from '../../testing/replica.ts';
import { RunProcess } from '../../testing/run-process.ts';
import { runCli } from '../support/cli.ts';
import { sharedServers } from '../support/shared-servers.ts';

const tables = ['adjustment', 'claim', 'patient', 'payment'];
let replica: Replica;
let admin: Connection;

beforeAll(async () => {
  const { source, target } = sharedServers();
  replica = await createReplica(source, target);
  admin = await replica.sourceAdmin();
  for (const table of tables) {
    await admin.query(`create table ${table} (id int not null primary key, note varchar(100)) engine=InnoDB`);
    await admin.query(`insert into ${table} select seq, repeat('x', 80) from seq_1_to_50000`);
  }
});

afterAll(async () => {
  await admin?.end();
  await replica?.drop();
});

/** The commands of the sessions of both users at the source. */
async function sessions(): Promise<string[]> {
  const [rows] = await admin.query<RowDataPacket[]>(
    'select command from information_schema.processlist where user in (?)',
    [[replica.env['SOURCE_DB_READONLY_USER'], replica.env['SOURCE_DB_REPLICATION_USER']]],
  );
  return rows.map((row) => String(row['command']));
}

/** Polls the sessions until the condition holds. */
async function until(holds: (sessions: readonly string[]) => boolean): Promise<void> {
  while (!holds(await sessions())) await sleep(20);
}

test('are at most four, plus one for each of SNAPSHOT_CONNECTIONS; during a pause, one that reads the end of the binlog', async () => {
  const env = { ...replica.env, SNAPSHOT_CONNECTIONS: '3' };
  const run = new RunProcess(env);
  const ended = new AbortController();
  let most = 0;
  const watching = (async () => {
    for (; !ended.signal.aborted; await sleep(5)) most = Math.max(most, (await sessions()).length);
  })();
  try {
    await run.logged('streaming');
    expect((await runCli(['verify'], env)).code).toBe(0);
    await until((found) => found.includes('Binlog Dump'));
    expect((await runCli(['pause'], env)).code).toBe(0);
    await run.logged('paused: `tidegate resume` continues');
    // An unwanted dump would continue for ever if the client only sent its goodbye.
    await until((found) => found.length <= 1 && !found.includes('Binlog Dump'));
    await run.stop();
    await until((found) => found.length === 0);
  } finally {
    ended.abort();
    await watching;
    await run.kill();
  }
  expect(most).toBeGreaterThan(3);
  // A session that has said goodbye may be listed for a moment.
  expect(most).toBeLessThanOrEqual(4 + 3 + 1);
});
