import { stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TargetServer } from '../../testing/servers/server.ts';
import { startTarget } from '../../testing/servers/target.ts';
import { mountSmallDisk } from '../../testing/small-disk.ts';
import { runCli } from '../support/cli.ts';
import { sharedServers } from '../support/shared-servers.ts';
import { Streaming } from './stream/support/streaming.ts';

const megabyte = 2 ** 20;
/** Only root may mount a disk. */
const disk = await mountSmallDisk(96);

describe.runIf(disk !== null)('when the disk of the target becomes full', () => {
  let target: TargetServer;
  let streaming: Streaming;

  beforeAll(async () => {
    target = await startTarget({ asProcess: true });
    streaming = await Streaming.start(
      async (admin) => {
        await admin.query('create table visit (id int not null primary key, image mediumblob)');
      },
      { source: sharedServers().source, target },
    );
    await streaming.run.stop();
    // PostgreSQL must own the folder of a tablespace.
    await streaming.target.query(`copy (select) to program 'mkdir -m 700 ${disk?.folder}/small'`);
    await streaming.target.query(`create tablespace small location '${disk?.folder}/small'`);
    await streaming.target.query('grant create on tablespace small to public');
    await streaming.target.query(`alter role "${streaming.env['TARGET_DB_USER']}" set default_tablespace = small`);
    // What Tidegate makes from now on is on the small disk.
    await streaming.target.query('drop schema raw cascade');
    await streaming.target.query('drop schema tidegate_raw cascade');
  });
  afterAll(async () => {
    await streaming?.end();
    await target?.stop();
    await disk?.unmount();
  });

  /** Leaves this much room on the disk. */
  const leave = async (bytes: number) => {
    const filler = join(disk?.folder ?? '', 'filler');
    await disk?.fill();
    await truncate(filler, (await stat(filler)).size - bytes);
  };
  /** 20 MB that PostgreSQL cannot compress. */
  const image = `concat(${Array.from({ length: 10 }, () => 'random_bytes(1024)').join(', ')})`;
  const insert = async (from: number) => {
    for (let at = from; at < from + 20; at++)
      await streaming.source.query(`insert into visit select ${at} * 100 + seq, ${image} from seq_1_to_100`);
  };
  const full = async () =>
    await streaming.until(
      async () => /53100|disk/i.test((await runCli(['lag', '--json'], streaming.env)).stdout),
      'it says that the disk is full',
    );

  test('in the midst of the first copy, it waits, and the copy goes on where it was', async () => {
    await insert(0);
    await leave(10 * megabyte);
    streaming.follow(streaming.another());
    await full();
    expect(streaming.run.running).toBe(true);
    await disk?.free();
    await streaming.run.logged('streaming');
    await streaming.caughtUp();
    expect(await streaming.differences()).toEqual([]);
  });

  test('in the midst of the stream, it waits, and nothing is lost', async () => {
    await leave(10 * megabyte);
    await insert(20);
    await full();
    expect(streaming.run.running).toBe(true);
    await disk?.free();
    await streaming.caughtUp();
    expect(await streaming.differences()).toEqual([]);
  });

  test('in the midst of a job, the job comes to its end by itself', async () => {
    await streaming.target.query('delete from visit where id > 500');
    await streaming.target.query('vacuum full visit');
    await leave(10 * megabyte);
    const command = runCli(['backfill', 'visit'], streaming.env);
    await full();
    expect(streaming.run.running).toBe(true);
    await disk?.free();
    const { code, stdout, stderr } = await command;
    expect(code, stdout + stderr).toBe(0);
    await streaming.caughtUp();
    expect(await streaming.differences()).toEqual([]);
  });
});
