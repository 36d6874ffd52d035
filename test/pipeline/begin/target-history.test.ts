import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SourceServer, TargetServer } from '../../../testing/servers/server.ts';
import { startSource } from '../../../testing/servers/source.ts';
import { startTarget } from '../../../testing/servers/target.ts';
import { runCli } from '../../support/cli.ts';
import { purgeBinlogs } from '../../support/purge-binlogs.ts';
import { Streaming } from '../stream/support/streaming.ts';

const run = promisify(execFile);

describe('a target that goes back to an earlier moment', () => {
  let source: SourceServer;
  let target: TargetServer;
  let streaming: Streaming;
  let id = 0;

  beforeAll(async () => {
    // One forgets its binlog, and the other goes back, so no other suite may share them.
    source = await startSource({ flavor: 'mariadb', asProcess: true });
    target = await startTarget({ asProcess: true });
    streaming = await Streaming.start(
      async (admin) => {
        await admin.query('create table visit (id int not null primary key, note varchar(40))');
      },
      { source, target },
    );
  });
  afterAll(async () => {
    await streaming?.end();
    await Promise.all([source?.stop(), target?.stop()]);
  });

  const write = async (rows: number, note: string) => {
    for (let n = 0; n < rows; n++) {
      await streaming.source.query(`insert into visit values (${++id}, '${note}')`);
      await streaming.source.query(`update visit set note = concat(note, '.') where id % 7 = ${n % 7}`);
      await streaming.source.query(`delete from visit where id = ${id - 20}`);
    }
  };

  /** The disk is as it was before `lost`, as after a restore to a point in time or a failover to a standby that lagged. */
  const goBack = async (lost: () => Promise<void>) => {
    let image = '';
    await target.restart?.('SIGINT', async (folder) => {
      image = `${folder}-image`;
      await run('cp', ['-a', folder, image]);
    });
    await streaming.reconnectTarget();
    await lost();
    await target.restart?.('SIGQUIT', async (folder) => {
      await rm(`${folder}/data`, { recursive: true });
      await run('cp', ['-a', `${image}/data`, `${folder}/data`]);
      await rm(image, { recursive: true });
    });
    await streaming.reconnectTarget();
  };

  test.each([{ isStopped: false }, { isStopped: true }])(
    'goes on from the checkpoint that it has (service stopped: $isStopped)',
    async ({ isStopped }) => {
      await write(10, 'kept');
      await streaming.caughtUp();
      await goBack(async () => {
        await write(30, 'lost there');
        const name = isStopped ? 'later' : 'sooner';
        await streaming.source.query(`create table ${name} (id int not null primary key)`);
        await streaming.source.query(`insert into ${name} values (1), (2)`);
        await streaming.until(async () => (await streaming.tableState(name)).state === 'streaming', 'it is taken in');
        expect((await runCli(['verify', 'visit'], streaming.env)).code).toBe(0);
        if (isStopped) await streaming.run.stop();
      });
      await write(10, 'after');
      if (isStopped) streaming.follow(streaming.another());
      await streaming.caughtUp();
      await streaming.until(async () => (await streaming.differences()).length === 0, 'all tables are equal');
      expect(streaming.run.find('refused')).toBeUndefined();
    },
  );

  test('says why not when the source no longer has what it forgot, and goes on after a resync', async () => {
    await write(10, 'kept');
    await streaming.caughtUp();
    await goBack(async () => {
      await write(30, 'lost there');
      await streaming.source.query('flush binary logs');
      await write(5, 'lost there');
      await streaming.caughtUp();
      await streaming.run.stop();
      await streaming.source.query('flush binary logs');
      await purgeBinlogs(streaming.source);
    });
    streaming.follow(streaming.another());
    const refused = await streaming.run.logged('refused');
    expect(JSON.stringify(refused)).toContain('position-lost');
    const { code, stdout, stderr } = await runCli(['resync'], streaming.env);
    expect(code, stdout + stderr).toBe(0);
    await streaming.run.logged('streaming');
    await streaming.caughtUp();
    expect(await streaming.differences()).toEqual([]);
  });
});
