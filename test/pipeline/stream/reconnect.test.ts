import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RowDataPacket } from 'mysql2/promise';
import { startSource } from '../../../testing/servers/source.ts';
import { type SourceServer, type TargetServer, restart } from '../../../testing/servers/server.ts';
import { startTarget } from '../../../testing/servers/target.ts';
import { purgeBinlogs } from '../../support/purge-binlogs.ts';
import { Streaming } from './support/streaming.ts';

/** This suite restarts its servers, so it starts its own. */
let source: SourceServer;
let target: TargetServer;
let streaming: Streaming;
let next = 1;

beforeAll(async () => {
  [source, target] = await Promise.all([startSource({ asProcess: true }), startTarget({ asProcess: true })]);
  streaming = await Streaming.start(
    async (source) => {
      await source.query(`create table beat (id int not null primary key, label varchar(50)) engine=InnoDB`);
      await source.query(`create table beat_myisam (id int not null primary key, label varchar(50)) engine=MyISAM`);
    },
    { source, target },
  );
});

afterAll(async () => {
  await streaming?.end();
  await Promise.all([source?.stop(), target?.stop()]);
});

/** Writes a few rows, and expects each row ever written to be at the target exactly once. */
async function expectFlow(): Promise<void> {
  for (let row = 0; row < 5; row++) {
    await streaming.source.query(`insert into beat values (?, 'x')`, [next]);
    await streaming.source.query(`insert into beat_myisam values (?, 'x')`, [next]);
    next += 1;
  }
  await streaming.caughtUp();
  expect(await streaming.rows('select count(*), max(id) from beat')).toEqual([[String(next - 1), String(next - 1)]]);
  expect(await streaming.rows('select count(*), max(id) from beat_myisam')).toEqual([
    [String(next - 1), String(next - 1)],
  ]);
  expect(streaming.run.running).toBe(true);
}

describe('lost connections are restored, and nothing is lost or duplicated', () => {
  test('the binlog connection is killed at the source, three times in a row', async () => {
    await expectFlow();
    for (let round = 0; round < 3; round++) {
      await streaming.until(
        async () => (await killSessions('Binlog Dump%')) > 0,
        'there is a binlog connection to kill',
      );
      await expectFlow();
    }
  });

  test('every connection of both source users is killed', async () => {
    expect(await killSessions('%')).toBeGreaterThan(0);
    await expectFlow();
  });

  test('the target ends all its sessions', async () => {
    const { rowCount } = await streaming.target.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
        where pid <> pg_backend_pid() and datname = current_database() and backend_type = 'client backend'`,
    );
    expect(rowCount).toBeGreaterThan(0);
    await expectFlow();
  });

  test('the source crashes and comes back, then is shut down and comes back with a new binlog file', async () => {
    await restart(source, 'SIGKILL');
    await streaming.reconnectSource();
    await expectFlow();
    await restart(source, 'SIGTERM');
    await streaming.reconnectSource();
    await expectFlow();
  });

  test('the target is shut down and comes back', async () => {
    await restart(target, 'SIGINT');
    await streaming.reconnectTarget();
    await expectFlow();
  });

  test('the target crashes and comes back', async () => {
    await restart(target, 'SIGKILL');
    await streaming.reconnectTarget();
    await expectFlow();
  });

  test('a binlog that was purged during a stop: one error names it, and nothing is changed', async () => {
    await streaming.run.stop();
    const before = await streaming.rows('select id, label, _loaded_at from beat order by id');
    const checkpoint = await streaming.checkpoint();
    await streaming.source.query(`insert into beat values (?, 'lost')`, [next]);
    await streaming.source.query('flush binary logs');
    await purgeBinlogs(streaming.source);
    const again = streaming.another();
    streaming.follow(again);
    await again.logged('refused');
    expect(again.tail()).toContain('position-lost');
    expect(await streaming.rows('select id, label, _loaded_at from beat order by id')).toEqual(before);
    expect(await streaming.checkpoint()).toBe(checkpoint);
  });
});

/** Kills the sessions of the replica's users at the source that run such a command; returns their number. */
async function killSessions(command: string): Promise<number> {
  const [sessions] = await streaming.source.query<RowDataPacket[]>(
    `select id from information_schema.processlist where user in (?, ?) and command like ?`,
    [streaming.env['SOURCE_DB_READONLY_USER'], streaming.env['SOURCE_DB_REPLICATION_USER'], command],
  );
  for (const session of sessions) {
    await streaming.source.query(`kill ${Number(session['id'])}`).catch((error: unknown) => {
      // 1094 (unknown thread): the session ended before the kill.
      if (!(error instanceof Error && 'errno' in error && error.errno === 1094)) throw error;
    });
  }
  return sessions.length;
}
