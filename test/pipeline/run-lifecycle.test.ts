import { setTimeout as sleep } from 'node:timers/promises';
import type { RowDataPacket } from 'mysql2/promise';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { RunProcess } from '../../testing/run-process.ts';
import { Streaming } from './stream/support/streaming.ts';

let streaming: Streaming;
const others: RunProcess[] = [];

beforeEach(async () => {
  streaming = await Streaming.start(async (source) => {
    await source.query(
      'create table beat (id int not null auto_increment primary key, label varchar(50)) engine=InnoDB',
    );
    await source.query(`insert into beat (label) values ('one'), ('two')`);
  });
});

afterEach(async () => {
  await Promise.all(others.splice(0).map(async (run) => await run.kill()));
  await streaming?.end();
});

async function beat(count: number): Promise<void> {
  for (let row = 0; row < count; row++) await streaming.source.query(`insert into beat (label) values ('beat')`);
}

async function expectEqualCount(): Promise<void> {
  const [[atSource]] = await streaming.source.query<RowDataPacket[]>(
    'select cast(count(*) as char) as n, cast(sum(id) as char) as s from beat',
  );
  expect(await streaming.rows('select count(*), sum(id) from beat')).toEqual([[atSource?.['n'], atSource?.['s']]]);
}

test('a second run waits as standby and takes over when the first is killed', async () => {
  const second = streaming.another([], { SOURCE_SERVER_ID: String(Number(streaming.env['SOURCE_SERVER_ID']) + 1) });
  others.push(second);
  await second.logged('standby');
  await beat(20);
  await streaming.caughtUp();
  await sleep(500);
  expect(second.find('streaming')).toBeUndefined();
  streaming.run.signal('SIGKILL');
  await streaming.run.exited;
  streaming.follow(second);
  await beat(20);
  await second.logged('streaming');
  await streaming.caughtUp();
  await expectEqualCount();
});

test('two runs with the same server id: the second still waits, and the first streams on', async () => {
  const second = streaming.another();
  others.push(second);
  await second.logged('standby');
  await beat(20);
  await streaming.caughtUp();
  expect(streaming.run.running).toBe(true);
});

test('a standby that receives SIGTERM ends with 0', async () => {
  const second = streaming.another();
  await second.logged('standby');
  await second.stop();
});

test.each(['SIGTERM', 'SIGINT'] as const)('%s under writes drains to a commit and ends with 0', async (signal) => {
  const stopping = new AbortController();
  const writer = (async () => {
    while (!stopping.signal.aborted) await beat(5);
  })();
  await sleep(400);
  streaming.run.signal(signal);
  await streaming.run.succeeded();
  expect(streaming.run.find('stopped')).toBeDefined();
  stopping.abort();
  await writer;
  const again = streaming.another(['--until-caught-up']);
  others.push(again);
  await again.succeeded();
  expect(again.find('snapshot started')).toBeUndefined();
  await expectEqualCount();
});

test('run --until-caught-up ends with 0 once the target has what the source had', async () => {
  await streaming.run.stop();
  await beat(50);
  const again = streaming.another(['--until-caught-up']);
  others.push(again);
  await again.succeeded();
  expect(again.find('caught up')).toBeDefined();
  await expectEqualCount();
});

test('a run that freezes within a transaction holds up no other: a standby takes over, and the locks are released', async () => {
  const second = streaming.another([], { SOURCE_SERVER_ID: String(Number(streaming.env['SOURCE_SERVER_ID']) + 1) });
  others.push(second);
  await second.logged('standby');
  // A lock at the target blocks the write until the process is frozen. Then the lock ends, and the frozen process keeps its own
  // locks.
  await streaming.target.query('begin');
  await streaming.target.query('select from beat where id = 1 for update');
  await streaming.source.query(`update beat set label = 'changed'`);
  await streaming.until(
    async () =>
      (
        await streaming.rows(
          `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
        )
      ).length > 0,
    'its write waits for a lock',
  );
  const frozen = streaming.run;
  others.push(frozen);
  frozen.signal('SIGSTOP');
  await streaming.target.query('rollback');
  await streaming.until(
    async () =>
      (
        await streaming.rows(
          `select from pg_stat_activity where state = 'idle in transaction' and datname = current_database()`,
        )
      ).length > 0,
    'it is idle in its transaction',
  );
  streaming.follow(second);
  await second.logged('streaming');
  await beat(5);
  await streaming.caughtUp();
  await expectEqualCount();
  frozen.signal('SIGCONT');
  await sleep(1_000);
  await beat(5);
  await streaming.caughtUp();
  await expectEqualCount();
});
