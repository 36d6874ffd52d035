import { readFile, readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { startTarget } from '../../../testing/servers/target.ts';
import type { TargetServer } from '../../../testing/servers/server.ts';
import { Streaming } from './support/streaming.ts';
import { sharedServers } from '../../support/shared-servers.ts';

let target: TargetServer | undefined;
let streaming: Streaming | undefined;
let frozen: number[] = [];

afterEach(async () => {
  thaw();
  await streaming?.end();
  await target?.stop();
  streaming = target = undefined;
});

async function start(): Promise<Streaming> {
  target = await startTarget({ asProcess: true });
  streaming = await Streaming.start(
    async (admin) => {
      await admin.query('create table beat (id int not null primary key, label varchar(50)) engine=InnoDB');
    },
    { source: sharedServers().source, target },
  );
  await streaming.source.query(`insert into beat values (1, 'before')`);
  await streaming.caughtUp();
  return streaming;
}

/** Stops every process of the server: connections stay open, and nothing answers. */
async function freeze(): Promise<void> {
  const server = target?.pid;
  if (server === undefined) throw new Error('this test freezes its target and needs it as a process of this machine');
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  for (const pid of [server, ...pids])
    if (pid === server || (await parentOf(pid)) === server) {
      process.kill(pid, 'SIGSTOP');
      frozen.push(pid);
    }
}

async function parentOf(pid: number): Promise<number | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return Number(/^.*\) \S (\d+)/s.exec(stat)?.[1] ?? null);
}

function thaw(): void {
  for (const pid of frozen) process.kill(pid, 'SIGCONT');
  frozen = [];
}

test.each([
  ['with nothing to do', async () => await Promise.resolve()],
  [
    'during a batch',
    async ({ source }: Streaming) => void (await source.query(`insert into beat values (2, 'meanwhile')`)),
  ],
])('a service that receives SIGTERM ends although PostgreSQL does not answer: %s', async (_, change) => {
  const streaming = await start();
  await freeze();
  await change(streaming);
  await sleep(1_500);
  await streaming.run.stop();
  thaw();
  streaming.follow(streaming.another());
  await streaming.run.logged('streaming');
  await streaming.caughtUp();
  expect(await streaming.differences()).toEqual([]);
});

test('a frozen PostgreSQL is tried again on new connections, and nothing is lost', async () => {
  const streaming = await start();
  await freeze();
  await streaming.source.query(`insert into beat values (2, 'meanwhile')`);
  await streaming.run.logged('retrying');
  thaw();
  await streaming.source.query(`insert into beat values (3, 'after')`);
  await streaming.caughtUp();
  expect(await streaming.differences()).toEqual([]);
});

test('a lock at the target does not prevent a service from ending', async () => {
  const streaming = await start();
  await streaming.target.query('begin');
  await streaming.target.query('lock table beat in access exclusive mode');
  await streaming.source.query(`insert into beat values (2, 'meanwhile')`);
  const waiting = `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`;
  await streaming.until(async () => (await streaming.rows(waiting)).length > 0, 'its write waits for the lock');
  await streaming.run.stop();
  await streaming.target.query('rollback');
  streaming.follow(streaming.another());
  await streaming.run.logged('streaming');
  await streaming.caughtUp();
  expect(await streaming.differences()).toEqual([]);
});
