import { cp, rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SourceServer } from '../../../testing/servers/server.ts';
import { startSource } from '../../../testing/servers/source.ts';
import { runCli } from '../../support/cli.ts';
import { sharedServers } from '../../support/shared-servers.ts';
import { Streaming } from '../stream/support/streaming.ts';

const servers = [
  { name: 'MariaDB', flavor: 'mariadb', args: [] },
  { name: 'MySQL with GTIDs', flavor: 'mysql', args: ['--gtid-mode=ON', '--enforce-gtid-consistency=ON'] },
  { name: 'MySQL without GTIDs', flavor: 'mysql', args: ['--gtid-mode=OFF'] },
] as const;

describe.each(servers)('$name comes back without its last transactions', ({ flavor, args }) => {
  let source: SourceServer;
  let streaming: Streaming;
  let id = 0;

  beforeAll(async () => {
    // Its disk goes back to an earlier moment, so no other suite may share it.
    source = await startSource({ flavor, args: [...args], asProcess: true });
    streaming = await Streaming.start(
      async (admin) => {
        await admin.query(`create table visit (id int not null primary key, note varchar(40))`);
        await admin.query(`create table counter (id int not null primary key, n int not null)`);
        await admin.query(`insert into counter values (1, 0)`);
      },
      { source, target: sharedServers().target },
    );
  });
  afterAll(async () => {
    await streaming?.end();
    await source?.stop();
  });

  /** The same statements each time, so only what they store differs between two histories. */
  const write = async (transactions: number, note: string) => {
    for (let n = 0; n < transactions; n++) {
      await streaming.source.query(`insert into visit values (${++id}, '${note}')`);
      await streaming.source.query('update counter set n = n + 1');
    }
  };

  /** Puts the disk back as it was before `lost` ran. */
  const putBack = async (lost: () => Promise<void>) => {
    let image = '';
    await source.restart?.('SIGTERM', async (folder) => {
      image = `${folder}-image`;
      await cp(folder, image, { recursive: true, preserveTimestamps: true });
    });
    await streaming.reconnectSource();
    await lost();
    await source.restart?.('SIGKILL', async (folder) => {
      await rm(`${folder}/data`, { recursive: true });
      await cp(`${image}/data`, `${folder}/data`, { recursive: true, preserveTimestamps: true });
      await rm(image, { recursive: true });
    });
    await streaming.reconnectSource();
  };

  // `npm run losses` goes through hundreds of cases on each server.
  test.each([
    { again: 0, isStopped: false },
    { again: 40, isStopped: true },
  ])(
    'and writes $again others: it is refused, remembered, and right after a resync (service stopped: $isStopped)',
    async ({ again, isStopped }) => {
      await write(5, 'kept');
      const before = id;
      await putBack(async () => {
        await write(10, 'lost');
        await streaming.caughtUp();
        if (isStopped) await streaming.run.stop();
      });
      id = before;
      await write(again, 'new');
      if (isStopped) streaming.follow(streaming.another());
      await streaming.run.logged('refused', undefined, 120_000);
      // A restart does not forget it.
      await streaming.run.stop();
      streaming.follow(streaming.another());
      await streaming.run.logged('refused');
      await write(20, 'after');
      expect((await runCli(['run', '--until-caught-up'], streaming.env)).code).not.toBe(0);
      const { code, stdout, stderr } = await runCli(['resync'], streaming.env);
      expect(code, stdout + stderr).toBe(0);
      await streaming.run.logged('streaming');
      await streaming.caughtUp();
      expect(await streaming.differences()).toEqual([]);
    },
  );

  if (flavor === 'mariadb')
    test('RESYNC=auto resyncs without a person, and asks before it deletes many rows', async () => {
      await streaming.run.stop();
      streaming.follow(streaming.another([], { RESYNC: 'auto' }));
      await streaming.run.logged('streaming');
      await streaming.source.query(`create table few (id int not null primary key)`);
      await streaming.source.query(`insert into few values (1)`);
      await streaming.until(async () => (await streaming.tableState('few')).state === 'streaming', 'few is taken in');
      await putBack(async () => {
        await streaming.source.query(`insert into few values (2), (3)`);
        for (let at = 0; at < 3; at++)
          await streaming.source.query(
            `insert into visit values ${Array.from({ length: 500 }, (_, n) => `(${1_000_000 + at * 500 + n}, 'lost')`).join(', ')}`,
          );
        await streaming.caughtUp();
      });
      await write(3, 'new');
      const resynced = async () =>
        await streaming.rows(
          `select detail->>'confirmed' from tidegate_raw.events where kind = 'resynced' order by id desc limit 1`,
        );
      await streaming.until(async () => (await resynced())[0]?.[0] === 'by RESYNC=auto', 'it resyncs');
      await streaming.until(
        async () => (await streaming.tableState('few')).state === 'streaming',
        'few is equal again',
      );
      expect(await streaming.rows('select id from few')).toEqual([['1']]);
      const unconfirmed = async () =>
        await streaming.rows(`select table_name from tidegate_raw.jobs where unconfirmed and finished_at is not null`);
      await streaming.until(async () => (await unconfirmed()).length === 1, 'visit waits for a person');
      expect(await unconfirmed()).toEqual([['visit']]);
      expect((await streaming.rows(`select count(*) from visit where note = 'lost'`))[0]?.[0]).not.toBe('0');
      const { code, stdout, stderr } = await runCli(['backfill', 'visit', '--yes'], streaming.env);
      expect(code, stdout + stderr).toBe(0);
      await streaming.caughtUp();
      expect(await streaming.differences()).toEqual([]);
      await streaming.run.stop();
      streaming.follow(streaming.another());
      await streaming.run.logged('streaming');
    });

  test('a restart that loses nothing is no reason to stop', async () => {
    const run = streaming.another();
    await streaming.run.stop();
    streaming.follow(run);
    await run.logged('streaming');
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      await write(30, 'kept');
      await source.restart?.(signal);
      await streaming.reconnectSource();
      await write(3, 'kept');
      await streaming.caughtUp();
    }
    expect(run.find('refused')).toBeUndefined();
    expect(await streaming.differences()).toEqual([]);
  });
});
