import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load-config.ts';
import { Scope } from '../../src/lifetime/scope.ts';
import { resync } from '../../src/pipeline/begin/resync.ts';
import { startSource } from '../../testing/servers/source.ts';
import type { SourceServer } from '../../testing/servers/server.ts';
import { Streaming } from '../pipeline/stream/support/streaming.ts';
import { runCli } from '../support/cli.ts';
import { Proxy } from '../support/proxy.ts';
import { sharedServers } from '../support/shared-servers.ts';

describe.each(['mariadb', 'mysql'] as const)('changes that no binlog of %s contains', (flavor) => {
  let source: SourceServer;
  let streaming: Streaming;
  const resetBinlog = flavor === 'mariadb' ? 'reset master' : 'reset binary logs and gtids';

  beforeAll(async () => {
    // This server loses its binlog, so no other suite may share it.
    source = await startSource({ flavor, asProcess: true });
    streaming = await Streaming.start(
      async (admin) => {
        await admin.query(`create table visit (id int not null primary key, note varchar(40))`);
        const rows = Array.from({ length: 3_000 }, (_, id) => `(${id}, 'visit ${id}')`);
        await admin.query(`insert into visit values ${rows.join(', ')}`);
      },
      { source, target: sharedServers().target },
    );
    await streaming.target.query('create view visit_notes as select note from raw.visit');
  });
  afterAll(async () => {
    await streaming?.end();
    await source?.stop();
  });

  test('rows changed without the binlog are found by verify, and repaired by verify --repair', async () => {
    await streaming.source.query('set session sql_log_bin = 0');
    await streaming.source.query(`update visit set note = 'restored' where id < 20`);
    await streaming.source.query(`delete from visit where id = 2999`);
    await streaming.source.query('set session sql_log_bin = 1');
    expect((await runCli(['verify', 'visit'], streaming.env)).code).toBe(1);
    expect((await runCli(['verify', 'visit', '--repair'], streaming.env)).stdout).toContain(
      '1 extra, 20 different; repaired',
    );
    expect(await streaming.differences()).toEqual([]);
  });

  test('while a service runs, resync is refused', async () => {
    const { code, stderr } = await runCli(['resync'], streaming.env);
    expect(code).toBe(1);
    expect(stderr).toContain('a service is running');
  });

  test('a source that restarts its binlog is recognised, and one command makes the target equal to it, readable all the time, even if its connection breaks', async () => {
    await streaming.run.stop();
    await streaming.source.query(`create table later (id int not null primary key)`);
    await streaming.source.query(`delete from visit where id % 2 = 0`);
    await streaming.source.query(`alter table visit add column fee int`);
    await streaming.source.query(`update visit set fee = id where id < 100`);
    await streaming.source.query(resetBinlog);
    await streaming.source.query(`update visit set note = 'after' where id = 1`);
    const refused = await runCli(['run', '--until-caught-up'], streaming.env);
    expect(refused.code, refused.stdout).not.toBe(0);
    expect(refused.stdout).toMatch(/"(position-lost|source-diverged)"/);
    expect(refused.stdout).toContain('tidegate resync');
    // The last report of the service may be older than the content of the target.
    await streaming.until(async () => {
      const { code, stdout } = await runCli(['lag', '--json', '--max-seconds', '60'], streaming.env);
      return code === 2 && stdout.includes('tidegate resync');
    }, 'lag reports that it is unknown, and why');

    const reader = streaming.watch('select from visit_notes having count(*) < 1499');
    await using proxy = await Proxy.start(sharedServers().target);
    // The answer of its commit, which has taken place.
    const lost = proxy.faultAtPacket('lose-answer', 2, (packet) => packet.toString('latin1', 5, 11) === 'commit');
    const behind = { TARGET_DB_HOST: proxy.host, TARGET_DB_PORT: String(proxy.port) };
    const { code, stdout, stderr } = await runCli(['resync'], { ...streaming.env, ...behind });
    expect(code, stdout + stderr).toBe(0);
    expect(lost.isMet).toBe(true);
    const { looks, found } = await reader.stop();
    expect(looks).toBeGreaterThan(5);
    expect(found).toEqual([]);
    expect(await streaming.differences()).toEqual([]);

    await streaming.source.query(`insert into visit values (5000, 'new', 1)`);
    const run = streaming.another(['--until-caught-up']);
    await run.succeeded();
    expect(await streaming.differences()).toEqual([]);
  });

  test('an attempt that succeeded without an answer is not repeated, even if a service has begun since', async () => {
    const config = loadConfig(streaming.env);
    await using scope = new Scope();
    const jobs = await resync(scope, config, 'option', 'one');
    streaming.follow(streaming.another());
    await streaming.run.logged('streaming');
    expect(await resync(scope, config, 'option', 'one')).toEqual(jobs);
    await expect(resync(scope, config, 'option', 'another')).rejects.toThrow('a service is running');
    await streaming.run.stop();
  });

  test('a service that went without a word, or froze, is waited for and not taken for one at work', async () => {
    streaming.follow(streaming.another());
    await streaming.run.logged('streaming');
    streaming.run.signal('SIGSTOP');
    const { code, stdout, stderr } = await runCli(['resync', '--detach'], streaming.env);
    streaming.run.signal('SIGCONT');
    expect(code, stdout + stderr).toBe(0);
    await streaming.caughtUp();
    expect(await streaming.differences()).toEqual([]);
    await streaming.run.stop();
  });

  test('in production it requires a typed yes, and without a terminal --yes', async () => {
    const production = { ...streaming.env, ENVIRONMENT: 'production' };
    const asked = await runCli(['resync'], production);
    expect(asked.code).toBe(1);
    expect(asked.stderr).toContain('there is no terminal to ask on');
    expect((await runCli(['resync', '--yes', '--detach'], production)).code).toBe(0);
  });
});
