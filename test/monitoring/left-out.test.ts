import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { complaintsOf, launchBrowser } from '../../testing/browser.ts';
import type { LagReport } from '../../src/monitoring/lag-report.ts';
import type { StatusDocument } from '../../src/monitoring/monitor.ts';
import { Streaming } from '../pipeline/stream/support/streaming.ts';
import { runCli } from '../support/cli.ts';

const keyless = 60;
const altered = 120;
const numbered = (name: string, count: number) => Array.from({ length: count }, (_, n) => `${name}${100 + n}`);

let streaming: Streaming;
let browser: Browser;
let url: string;

beforeAll(async () => {
  [browser, streaming] = await Promise.all([
    launchBrowser(),
    Streaming.start(
      async (admin) => {
        for (const table of numbered('keyless', keyless)) await admin.query(`create table ${table} (id int)`);
        for (const table of numbered('t', altered))
          await admin.query(`create table ${table} (id int not null primary key) engine=InnoDB`);
        for (const table of ['secret', 'secret_too', 'dropped', 'place'])
          await admin.query(`create table ${table} (id int not null primary key) engine=InnoDB`);
        await admin.query('alter table place add column ctid int');
        await admin.query('create table refreshed (id int)');
      },
      undefined,
      { LISTEN: '127.0.0.1:0', TABLES_EXCLUDE: 'secret*', TABLES_REFRESH: 'refreshed' },
    ),
  ]);
  url = String((await streaming.run.logged('status page'))['url']);
});

afterAll(async () => {
  await browser?.close();
  await streaming?.end();
});

const settings = { TABLES_EXCLUDE: 'secret*', TABLES_REFRESH: 'refreshed' };

async function lag(): Promise<LagReport> {
  const { stdout } = await runCli(['lag', '--json'], { ...streaming.env, ...settings });
  return JSON.parse(stdout) as LagReport;
}

async function status(): Promise<StatusDocument> {
  return (await (await fetch(`${url}status.json`)).json()) as StatusDocument;
}

/** What the watch of docs/lag.md asks. */
function isHealthy({ suspendedTables, deadLetters, verifications }: LagReport): boolean {
  return (
    suspendedTables?.length === 0 && deadLetters?.length === 0 && (verifications ?? []).every(({ isEqual }) => isEqual)
  );
}

const groups = [
  { state: 'excluded', reason: expect.stringContaining('do not select it'), tables: ['secret', 'secret_too'] },
  { state: 'refused', reason: expect.stringContaining('no primary key'), tables: numbered('keyless', keyless) },
  { state: 'refused', reason: expect.stringContaining('column ctid'), tables: ['place'] },
];

function sorted(report: LagReport): LagReport['leftOutTables'] {
  return report.leftOutTables?.toSorted((a, b) => (a.state + a.tables[0]).localeCompare(b.state + b.tables[0])) ?? null;
}

test('tables that are left out are named by reason by lag, /status.json, the metrics and verify', async () => {
  const report = await lag();
  expect(sorted(report)).toEqual(groups);
  expect(isHealthy(report)).toBe(true);
  await streaming.until(async () => (await status()).lag.leftOutTables !== null, 'the status has them');
  expect(sorted((await status()).lag)).toEqual(groups);
  const metrics = await (await fetch(`${url}metrics`)).text();
  expect(metrics).toMatch(/^tidegate_left_out_tables\{state="refused",reason="it has no primary key.*"\} 60$/m);
  expect(metrics).toMatch(/^tidegate_left_out_tables\{state="excluded",.*\} 2$/m);
  const verified = await runCli(['verify', '--json'], { ...streaming.env, ...settings });
  const { leftOut } = JSON.parse(verified.stdout) as { leftOut: NonNullable<LagReport['leftOutTables']> };
  expect(leftOut).toEqual(
    expect.arrayContaining([...groups, expect.objectContaining({ state: 'full-refresh', tables: ['refreshed'] })]),
  );
  const { stdout } = await runCli(['lag'], { ...streaming.env, ...settings });
  expect(stdout).toContain('streaming, 0 s behind');
  expect(stdout).toContain('61 tables left out');
  expect(stdout).toMatch(
    /left out +60 tables: it has no primary key.*: keyless100, keyless101, keyless102 and 57 more\n/,
  );
});

test('headline and title are never better than the worst table, and name host and database', async () => {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(60_000);
  const complaints = complaintsOf(page, url);
  await page.goto(url);
  await page.locator('#state', { hasText: 'streaming, 61 tables left out' }).waitFor();
  expect(await page.getAttribute('#dot', 'class')).toContain('is-warn');
  expect(await page.textContent('#left-out-count')).toBe('63');
  await page.locator('#left-out-list', { hasText: '60 tables refused: it has no primary key' }).waitFor();
  expect(await page.title()).toContain(`streaming, 61 tables left out · ${streaming.database} on 127.0.0.1 · Tidegate`);
  await streaming.holdSuspended();
  for (const table of numbered('t', altered)) await streaming.source.query(`alter table ${table} add column more int`);
  for (const table of numbered('t', altered)) await streaming.source.query(`insert into ${table} values (1, 1)`);
  await page.locator('#state', { hasText: `streaming, ${altered} tables suspended, 61 tables left out` }).waitFor();
  expect(await page.getAttribute('#dot', 'class')).toContain('is-bad');
  expect(await page.title()).toContain(`${altered} tables suspended`);
  expect((await status()).headline.tone).toBe('bad');
  expect(complaints).toEqual([]);
  await page.close();
});

test('the watch of docs/lag.md fails for suspended tables, and its remedy works for all of them at once', async () => {
  const report = await lag();
  expect(report.suspendedTables).toHaveLength(altered);
  const reason = 'alter table at the source is not replicated yet';
  expect(report.leftOutTables).toContainEqual({ state: 'suspended', reason, tables: numbered('t', altered) });
  expect(isHealthy(report)).toBe(false);
  const { code, stderr } = await runCli(['backfill', '--suspended'], { ...streaming.env, ...settings });
  expect(code, stderr).toBe(0);
  expect(isHealthy(await lag())).toBe(true);
  const again = await runCli(['backfill', '--suspended'], { ...streaming.env, ...settings });
  expect(again).toMatchObject({ code: 0, stdout: 'no table is suspended\n' });
});

test('a table that the source drops is left out as gone', async () => {
  await streaming.source.query('drop table dropped');
  await streaming.until(async () => (await streaming.tableState('dropped')).state === 'suspended', 'it is suspended');
  await streaming.releaseSuspended();
  await streaming.until(async () => (await streaming.tableState('dropped')).state === 'gone', 'it is gone');
  expect((await lag()).leftOutTables).toContainEqual({
    ...{ state: 'gone', reason: 'the source dropped it', tables: ['dropped'] },
  });
});
