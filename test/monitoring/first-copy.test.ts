import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LagReport } from '../../src/monitoring/lag-report.ts';
import { complaintsOf, launchBrowser } from '../../testing/browser.ts';
import { type Replica, createReplica } from '../../testing/replica.ts';
import { RunProcess } from '../../testing/run-process.ts';
import { runCli } from '../support/cli.ts';
import { Proxy } from '../support/proxy.ts';
import { sharedServers } from '../support/shared-servers.ts';

const patient = { timeout: 60_000 };

let replica: Replica;
let proxy: Proxy;
let run: RunProcess;

beforeAll(async () => {
  const { source, target } = sharedServers();
  replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  await admin.query('create table visit (id int not null primary key, note varchar(200)) engine=InnoDB');
  await admin.query("insert into visit select seq, repeat('x', 200) from seq_1_to_200000");
  await admin.query('create table fee (id int not null primary key) engine=InnoDB');
  admin.destroy();
  proxy = await Proxy.start(source);
  const address = { SOURCE_DB_HOST: proxy.host, SOURCE_DB_PORT: String(proxy.port) };
  run = new RunProcess({ ...replica.env, ...address, LISTEN: '127.0.0.1:0' });
  await run.logged('snapshot started');
  // Slow enough to be looked at.
  proxy.delayMs = 300;
});

afterAll(async () => {
  await run?.kill();
  await proxy?.[Symbol.asyncDispose]();
  await replica?.drop();
});

test('a first copy shows progress, rate and time left, and nothing that needs a person', async () => {
  const browser = await launchBrowser();
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    page.setDefaultTimeout(patient.timeout);
    const url = String((await run.logged('status page'))['url']);
    const complaints = complaintsOf(page, url);
    await page.goto(url);
    await page.locator('#state', { hasText: /^snapshotting \d+ %$/ }).waitFor();
    await expect.poll(async () => await page.textContent('#catchup'), patient).toMatch(/^about \d/);
    expect(await page.getAttribute('#dot', 'class')).toContain('is-busy');
    expect(await page.textContent('.tile.large')).toMatch(/of the first copy done\s+\d+ %/);
    expect(await page.getAttribute('#seconds', 'class')).toContain('is-busy');
    expect(await page.textContent('#rate-name')).toBe('rows copied a second');
    expect(await page.textContent('#snapshot-text')).toMatch(
      /^[\d,]+ rows? of about [\d,]+ · [01] of 2 tables done · [\d,]+ rows? a second · about \d.* left$/,
    );
    expect(await page.isHidden('#attention')).toBe(true);
    expect(await page.title()).toMatch(
      new RegExp(`^snapshotting \\d+ % · ${replica.database} on 127.0.0.1 · Tidegate$`),
    );
    const { stdout } = await runCli(['lag', '--json'], replica.env);
    const { state, snapshot, secondsBehind, problems } = JSON.parse(stdout) as LagReport;
    expect({ state, secondsBehind, problems }).toEqual({ state: 'snapshotting', secondsBehind: null, problems: [] });
    expect(snapshot).toMatchObject({ rowsPerSecond: expect.any(Number), secondsLeft: expect.any(Number) });
    expect(complaints).toEqual([]);
  } finally {
    await browser.close();
  }
});
