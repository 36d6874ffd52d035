import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startSource } from '../../testing/servers/source.ts';
import type { SourceServer } from '../../testing/servers/server.ts';
import type { StatusDocument } from '../../src/monitoring/monitor.ts';
import { Streaming } from '../pipeline/stream/support/streaming.ts';
import { runCli } from '../support/cli.ts';
import { sharedServers } from '../support/shared-servers.ts';

const token = 'a-token-of-the-tests-0123';

/** This suite freezes its server, so it starts its own. */
let source: SourceServer;
let streaming: Streaming;
let url: string;

beforeAll(async () => {
  source = await startSource({ asProcess: true });
  streaming = await Streaming.start(
    async (admin) => {
      await admin.query('create table visit (id int not null primary key, note varchar(40)) engine=InnoDB');
      await admin.query("insert into visit values (1, 'canary of a row')");
      await admin.query('create table `<b>hostile` (id int not null primary key) engine=InnoDB');
    },
    { source, target: sharedServers().target },
    { LISTEN: '127.0.0.1:0' },
  );
  url = await urlOf(streaming.run);
});

afterAll(async () => {
  await streaming?.end();
  await source?.stop();
});

async function urlOf(run: Streaming['run']): Promise<string> {
  return String((await run.logged('status page'))['url']);
}

async function status(): Promise<StatusDocument> {
  return (await (await fetch(`${url}status.json`)).json()) as StatusDocument;
}

/** The report of the command. */
async function reported(): Promise<StatusDocument['lag']> {
  return JSON.parse((await runCli(['lag', '--json'], streaming.env)).stdout) as StatusDocument['lag'];
}

/** The values of a metric, by their printed labels. */
async function metric(name: string): Promise<Map<string, number>> {
  const text = await (await fetch(`${url}metrics`)).text();
  const lines = text.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (.*)$`, 'gm'));
  return new Map([...lines].map(([, labels = '', value]) => [labels, Number(value)]));
}

describe('while it streams', () => {
  test('status, history and metrics report the same as lag', async () => {
    await streaming.source.query("insert into visit values (2, 'x'), (3, 'y')");
    await streaming.caughtUp();
    const appliedTo = async (name: string) => (await status()).tables?.find(({ table }) => table === name)?.applied;
    await streaming.until(async () => (await appliedTo('visit')) === 2, 'the status has caught up');
    await streaming.until(async () => (await status()).lag.bytesBehind === 0, 'and reports it');
    const { lag, instance, tables, events, ...rest } = await status();
    expect(rest).toMatchObject({ source: streaming.database, target: 'raw', version: expect.stringMatching(/^\d/) });
    expect(instance).toMatchObject({ role: 'leader', pid: streaming.run.pid });
    expect(lag).toMatchObject({ state: 'streaming', reason: null, secondsBehind: 0, transactionsBehind: 0 });
    expect(tables?.find(({ table }) => table === 'visit')).toMatchObject({ state: 'streaming', applied: 2, rows: 1 });
    expect(events?.map(({ kind }) => kind)).toContain('snapshot-finished');
    // The command reads the last record of the service, which may be slightly older.
    await streaming.until(async () => (await reported()).secondsToCatchUp === 0, 'the command reports it, too');
    expect(Object.keys(await reported())).toEqual(Object.keys(lag));
    expect(await reported()).toMatchObject({ state: 'streaming', secondsBehind: 0, rowsPerSecond: expect.any(Number) });
    expect(await metric('tidegate_lag_seconds')).toEqual(new Map([['', 0]]));
    expect((await metric('tidegate_state')).get('state="streaming"')).toBe(1);
    expect((await metric('tidegate_table_applied_rows_total')).get('table="visit"')).toBe(2);
    expect((await metric('tidegate_apply_seconds_count')).get('')).toBeGreaterThan(0);
    expect((await metric('tidegate_binlog_bytes_total')).get('')).toBeGreaterThan(100);
    const { points } = (await (await fetch(`${url}history.json`)).json()) as { points: number[][] };
    expect(points[0]).toHaveLength(5);
    const [last = 0] = points.at(-1) ?? [];
    const after = (await (await fetch(`${url}history.json?after=${last}`)).json()) as { points: number[][] };
    expect(after.points.filter(([number = 0]) => number <= last)).toEqual([]);
  });

  test('no value of a row is in any of it', async () => {
    for (const path of ['', 'status.json', 'history.json', 'metrics', 'healthz', 'readyz'])
      expect(await (await fetch(url + path)).text()).not.toContain('canary');
  });

  test('the page may load nothing from other origins, and only reads are answered', async () => {
    const page = await fetch(url);
    expect(page.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; script-src 'self'; style-src 'self'/,
    );
    // The icon is embedded in the page, and its SVG names its own type.
    const text = (await page.text()).replaceAll(/"data:[^"]*"/g, '""');
    expect(text).not.toMatch(/https?:\/\//);
    expect(text).not.toMatch(/<script>|<style|style="| on[a-z]+="/);
    for (const [, path] of text.matchAll(/(?:src|href)="([^"]+)"/g))
      expect((await fetch(new URL(path ?? '', url))).status).toBe(200);
    expect((await fetch(url, { method: 'POST' })).status).toBe(405);
    expect((await fetch(`${url}../package.json`)).status).toBe(404);
    expect((await fetch(`${url}constructor`)).status).toBe(404);
  });

  test('a foreign host name that resolves to this server is not answered', async () => {
    const { port } = new URL(url);
    const socket = connect(Number(port), '127.0.0.1');
    socket.end(`GET /status.json HTTP/1.1\r\nHost: evil.example:${port}\r\nConnection: close\r\n\r\n`);
    let text = '';
    for await (const part of socket) text += String(part);
    expect(text).toMatch(/^HTTP\/1.1 421 /);
  });

  test('a second instance is a ready standby, takes a free port, and requires its token', async () => {
    const standby = streaming.another([], { LISTEN: '127.0.0.1:0', LISTEN_TOKEN: token });
    try {
      await standby.logged('standby');
      const other = await urlOf(standby);
      expect((await fetch(`${other}readyz`)).status).toBe(200);
      expect(await (await fetch(`${other}healthz`)).json()).toEqual({ state: 'standby' });
      expect((await fetch(`${other}status.json`)).status).toBe(401);
      expect((await fetch(`${other}status.json`, { headers: { authorization: 'Bearer wrong' } })).status).toBe(401);
      const basic = `Basic ${Buffer.from(`anybody:${token}`).toString('base64')}`;
      for (const authorization of [`Bearer ${token}`, basic]) {
        const ask = async () => await fetch(`${other}status.json`, { headers: { authorization } });
        await streaming.until(async () => (await ask()).status === 200, 'it has looked');
        expect(await (await ask()).json()).toMatchObject({ instance: { role: 'standby' }, lag: { state: 'standby' } });
        const secondsBehind = async () => ((await (await ask()).json()) as StatusDocument).lag.secondsBehind;
        await streaming.until(async () => (await secondsBehind()) === 0, 'it reports the lag');
      }
      expect((await status()).lag.state).toBe('streaming');
    } finally {
      await standby.stop();
    }
    // The first instance holds this port.
    const third = streaming.another([], { LISTEN: new URL(url).host });
    try {
      expect((await third.logged('no status page: cannot listen on LISTEN'))['code']).toBe('EADDRINUSE');
      await third.logged('standby');
    } finally {
      await third.stop();
    }
  });
});

test('an address beyond this machine requires a token, and the error does not print a wrong token', async () => {
  const { code, stderr } = await runCli(['lag'], { ...streaming.env, LISTEN: '0.0.0.0:8787' });
  expect(code).toBe(2);
  expect(stderr).toContain('LISTEN_TOKEN is not set');
  const short = await runCli(['lag'], { ...streaming.env, LISTEN: '0.0.0.0:8787', LISTEN_TOKEN: 'canary' });
  expect(short.stderr).toContain('LISTEN_TOKEN must be 16 characters or more');
  expect(short.stderr).not.toContain('canary');
});

describe('when nothing moves', () => {
  test('a lock on the checkpoint is detected, reported, and over when it is released', async () => {
    const other = await streaming.newTargetSession();
    await other.query('begin');
    // A lock on one table suspends that table. Nothing moves without the checkpoint.
    await other.query('select from tidegate_raw.checkpoint for update');
    await streaming.source.query("insert into visit values (20, 'x')");
    await streaming.until(async () => (await status()).lag.state === 'stalled', 'it is stalled');
    const stuck = (await status()).lag;
    expect(stuck.reason).toBe('target-stuck');
    expect(stuck.secondsBehind).toBeGreaterThan(5);
    expect((await fetch(`${url}readyz`)).status).toBe(503);
    expect((await fetch(`${url}healthz`)).status).toBe(200);
    expect((await metric('tidegate_stalls_total')).get('reason="target-stuck"')).toBe(1);
    await streaming.until(async () => (await reported()).state === 'stalled', 'the command reports it, too');
    expect(await reported()).toMatchObject({ state: 'stalled', reason: 'target-stuck', transactionsBehind: 1 });
    await other.query('rollback');
    await other.end();
    await streaming.run.logged('moves again');
    await streaming.caughtUp();
    await streaming.until(async () => (await status()).lag.state === 'streaming', 'it streams again');
  });

  test('a silent source is a stall, then gets a new connection', async () => {
    process.kill(source.pid ?? 0, 'SIGSTOP');
    try {
      await streaming.run.logged('stalled', (line) => line['reason'] === 'source-silent');
      expect((await status()).lag).toMatchObject({ state: 'stalled', reason: 'source-silent' });
      await streaming.until(
        async () => (await metric('tidegate_reachable')).get('side="source"') === 0,
        'it is reported',
      );
      expect((await metric('tidegate_lag_seconds')).size).toBe(0);
      const { lag } = await status();
      expect(lag.secondsBehind).toBeNull();
      expect(lag.problems.join()).toContain('source: no answer');
      await streaming.run.logged('retrying');
    } finally {
      process.kill(source.pid ?? 0, 'SIGCONT');
    }
    await streaming.caughtUp();
    await streaming.until(async () => (await status()).lag.state === 'streaming', 'it streams again');
    expect((await metric('tidegate_retries_total')).get('kind="source-unreachable"')).toBeGreaterThan(0);
  });

  test('a start after a long stop is not a stall', async () => {
    await streaming.run.stop();
    const other = await streaming.newTargetSession();
    await other.query("update tidegate_raw.status set updated_at = now() - interval '1 day'");
    // The lock keeps the program in its checks before it takes the lease.
    await other.query('begin');
    await other.query('lock table tidegate_raw.lease in access exclusive mode');
    const again = streaming.another([], { LISTEN: '127.0.0.1:0' });
    streaming.follow(again);
    url = await urlOf(again);
    expect((await status()).lag.state).toBe('checking');
    await other.query('rollback');
    await other.end();
    await again.logged('streaming');
    expect(again.find('stalled')).toBeUndefined();
  });

  test('a standby reports a lease holder that is silent', async () => {
    const standby = streaming.another([], { LISTEN: '127.0.0.1:0' });
    try {
      await standby.logged('standby');
      // The lease holder keeps the lease but cannot report, like a process that hangs in part.
      const other = await streaming.newTargetSession();
      await other.query('begin');
      await other.query('select * from tidegate_raw.status for update');
      await standby.logged('stalled', (line) => line['reason'] === 'no-leader');
      await other.query('rollback');
      await other.end();
      await standby.logged('moves again');
    } finally {
      await standby.stop();
    }
  });
});
