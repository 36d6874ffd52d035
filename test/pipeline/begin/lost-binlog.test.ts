import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SourceServer } from '../../../testing/servers/server.ts';
import { startSource } from '../../../testing/servers/source.ts';
import { Streaming } from '../stream/support/streaming.ts';
import { runCli } from '../../support/cli.ts';
import { sharedServers } from '../../support/shared-servers.ts';

const servers = [
  { name: 'MariaDB', flavor: 'mariadb', args: [], reset: 'reset master' },
  {
    name: 'MySQL with GTIDs',
    flavor: 'mysql',
    args: ['--gtid-mode=ON', '--enforce-gtid-consistency=ON'],
    reset: 'reset binary logs and gtids',
  },
  { name: 'MySQL without GTIDs', flavor: 'mysql', args: ['--gtid-mode=OFF'], reset: 'reset binary logs and gtids' },
] as const;

describe.each(servers)('$name', ({ flavor, args, reset }) => {
  let source: SourceServer;
  let streaming: Streaming;

  beforeAll(async () => {
    // This server loses its binlog, so no other suite may share it.
    source = await startSource({ flavor, args: [...args], asProcess: true });
    streaming = await Streaming.start(
      async (admin) => {
        await admin.query(`create table visit (id int not null primary key, note varchar(40))`);
        await admin.query(`create table unwanted (id int not null primary key)`);
        for (let id = 0; id < 20; id++) await admin.query(`insert into visit values (${id}, 'visit ${id}')`);
      },
      { source, target: sharedServers().target },
    );
  });
  afterAll(async () => {
    await streaming?.end();
    await source?.stop();
  });

  test('a restarted binlog is recognised even when it has grown past the old position', async () => {
    await streaming.caughtUp();
    await streaming.run.stop();
    // A binlog file records the second of its creation. A quick machine gets here within the second of the first file.
    await sleep(1_100);
    await streaming.source.query(reset);
    // The new binlog has the same numbers and names as before, and more of them.
    for (let n = 0; n < 400; n++)
      await streaming.source.query(`update visit set note = 'later ${n}' where id = ${n % 20}`);
    const refused = await runCli(['run', '--until-caught-up'], streaming.env);
    expect(refused.code, refused.stdout).not.toBe(0);
    expect(refused.stdout).toMatch(/"(position-lost|source-diverged)"/);
    expect(refused.stdout).toContain('tidegate resync');
    const { code, stdout, stderr } = await runCli(['resync'], { ...streaming.env, TABLES_EXCLUDE: 'unwanted' });
    expect(code, stdout + stderr).toBe(0);
    expect((await streaming.tableState('unwanted')).state).toBe('excluded');
    expect(await streaming.differences()).toEqual([]);
    await streaming.another(['--until-caught-up']).succeeded();
  });

  test('a binlog that restarts while it is streamed is recognised too', async () => {
    const run = streaming.another();
    streaming.follow(run);
    await run.logged('streaming');
    await streaming.caughtUp();
    await streaming.source.query(reset);
    for (let n = 0; n < 50; n++)
      await streaming.source.query(`update visit set note = 'last ${n}' where id = ${n % 20}`);
    await run.logged('refused');
    expect(run.tail()).toMatch(/"(position-lost|source-diverged)"/);
    expect(run.tail()).toContain('tidegate resync');
    expect((await runCli(['resync'], streaming.env)).code).toBe(0);
    expect(await streaming.differences()).toEqual([]);
    expect((await streaming.tableState('unwanted')).state).toBe('streaming');
  });
});
