import type { Connection } from 'mysql2/promise';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { LagReport } from '../../src/monitoring/lag-report.ts';
import type { StatusDocument } from '../../src/monitoring/monitor.ts';
import { launchBrowser } from '../../testing/browser.ts';
import { type Replica, createReplica } from '../../testing/replica.ts';
import { RunProcess } from '../../testing/run-process.ts';
import type { SourceServer, TargetServer } from '../../testing/servers/server.ts';
import { startSource } from '../../testing/servers/source.ts';
import { startTarget } from '../../testing/servers/target.ts';
import { type SmallDisk, mountSmallDisk } from '../../testing/small-disk.ts';
import { runCli } from '../support/cli.ts';
import { Proxy } from '../support/proxy.ts';

/**
 * What `lag`, /status.json, the metrics and the page tell while a server does not do what it should: the truth, or that it is not known and
 * why. The replica has a suspended table and one that is left out, so an empty list would be a lie.
 */

/** A statement takes 3 s: its way there takes half of that, and so does the answer. */
const slowMs = 1_500;
/** The product's limit is 5 s. A busy machine may need more to start the program. */
const mostSeconds = 20;
const patient = { timeout: 120_000, interval: 500 };

const faults = ['down', 'slow', 'frozen', 'read-only', 'full'] as const;
type Fault = (typeof faults)[number];
const sides = ['source', 'target'] as const;
type Side = (typeof sides)[number];

/** Full disks need root. */
const sourceDisk = await mountSmallDisk(32);
const targetDisk = sourceDisk === null ? null : await mountSmallDisk(32);

let source: SourceServer;
let target: TargetServer;
let replica: Replica;
let proxies: Record<Side, Proxy>;
let admin: Connection;
let browser: Browser;
let page: Page;
let run: RunProcess;
let env: Readonly<Record<string, string>>;
let url: string;
let rows = 0;

beforeAll(async () => {
  [source, target, browser] = await Promise.all([
    startSource({ asProcess: true, args: sourceDisk === null ? [] : [`--log-bin=${sourceDisk.folder}/binlog`] }),
    startTarget({ asProcess: true }),
    launchBrowser(),
  ]);
  replica = await createReplica(source, target);
  if (targetDisk !== null) {
    // PostgreSQL must own the folder of a tablespace.
    await replica.targetAdmin.query(`copy (select) to program 'mkdir -m 700 ${targetDisk.folder}/small'`);
    await replica.targetAdmin.query(`create tablespace small location '${targetDisk.folder}/small'`);
    await replica.targetAdmin.query(`grant create on tablespace small to public`);
    await replica.targetAdmin.query(`alter role "${replica.env['TARGET_DB_USER']}" set default_tablespace = small`);
  }
  admin = await replica.sourceAdmin();
  await admin.query('create table visit (id int not null primary key, note varchar(2000)) engine=InnoDB');
  await admin.query('create table odd (id int not null primary key) engine=InnoDB');
  await admin.query('create table keyless (id int) engine=InnoDB');
  proxies = { source: await Proxy.start(source), target: await Proxy.start(target) };
  env = {
    ...replica.env,
    ...{ SOURCE_DB_HOST: proxies.source.host, SOURCE_DB_PORT: String(proxies.source.port) },
    ...{ TARGET_DB_HOST: proxies.target.host, TARGET_DB_PORT: String(proxies.target.port) },
  };
  page = await browser.newPage();
  page.setDefaultTimeout(patient.timeout);
  await start();
  // It waits for a decision, so it stays suspended.
  await admin.query('alter table odd drop primary key');
  await admin.query('insert into odd values (1)');
  await run.logged('table suspended', ({ reason }) => String(reason).includes('no primary key'));
  await run.kill();
});

/** A new process need not wait out the pauses of the last one. */
beforeEach(async () => {
  await start();
  await expect.poll(async () => (await lag()).problems, patient).toEqual([]);
});

afterEach(async () => await run?.kill());

afterAll(async () => {
  await browser?.close();
  admin?.destroy();
  for (const proxy of Object.values(proxies ?? {})) await proxy[Symbol.asyncDispose]();
  await replica?.targetAdmin.end();
  await Promise.all([source?.stop(), target?.stop()]);
  await sourceDisk?.unmount();
  await targetDisk?.unmount();
});

async function start(): Promise<void> {
  run = new RunProcess({ ...env, LISTEN: '127.0.0.1:0' });
  await run.logged('streaming');
  url = String((await run.logged('status page'))['url']);
  await page.goto(url);
}

async function begin(fault: Fault, side: Side): Promise<void> {
  const proxy = proxies[side];
  const disk = side === 'source' ? sourceDisk : targetDisk;
  switch (fault) {
    case 'down':
      proxy.mode = 'refuse';
      proxy.cut();
      break;
    case 'slow':
      proxy.delayMs = slowMs;
      break;
    case 'frozen':
      proxy.mode = 'swallow';
      break;
    case 'read-only':
      await setReadOnly(side, true);
      break;
    case 'full':
      await (disk as SmallDisk).fill();
      // The target needs room for these rows. At a full source they wait.
      void writeRows().catch(() => undefined);
  }
}

async function end(fault: Fault, side: Side): Promise<void> {
  const proxy = proxies[side];
  proxy.mode = 'pass';
  proxy.delayMs = 0;
  proxy.cut();
  if (fault === 'read-only') await setReadOnly(side, false);
  if (fault === 'full') await (side === 'source' ? sourceDisk : targetDisk)?.free();
}

async function setReadOnly(side: Side, isOn: boolean): Promise<void> {
  if (side === 'source') await admin.query(`set global read_only = ${isOn ? 1 : 0}`);
  else {
    await replica.targetAdmin.query(`alter system set default_transaction_read_only = ${isOn ? 'on' : 'off'}`);
    await replica.targetAdmin.query('select pg_reload_conf()');
  }
}

async function writeRows(): Promise<void> {
  const session = await replica.sourceAdmin();
  rows += 1_000;
  await session.query(`insert into visit select seq, repeat('x', 2000) from seq_${rows - 999}_to_${rows}`);
  session.destroy();
}

async function lag(): Promise<LagReport> {
  const since = performance.now();
  const { stdout } = await runCli(['lag', '--json'], env);
  expect((performance.now() - since) / 1_000).toBeLessThan(mostSeconds);
  return JSON.parse(stdout) as LagReport;
}

async function status(): Promise<StatusDocument> {
  const answer = await fetch(`${url}status.json`, { signal: AbortSignal.timeout(mostSeconds * 1_000) });
  return (await answer.json()) as StatusDocument;
}

async function metrics(): Promise<string> {
  return await (await fetch(`${url}metrics`, { signal: AbortSignal.timeout(mostSeconds * 1_000) })).text();
}

/** What a report says that is not so, or keeps silent about. */
function liesOf(report: LagReport): string[] {
  const lists = ['suspendedTables', 'leftOutTables', 'deadLetters', 'jobs', 'verifications', 'failedJobs'] as const;
  const positions = ['sourcePosition', 'appliedPosition', 'secondsBehind', 'bytesBehind'] as const;
  const unknown = [...lists, ...positions].filter((field) => report[field] === null);
  const suspended = report.suspendedTables?.map(({ table }) => table).join() ?? 'odd';
  const leftOut = report.leftOutTables?.flatMap(({ tables }) => tables).includes('keyless') ?? true;
  return [
    ...(unknown.length > 0 && report.problems.length === 0 ? [`${unknown.join()} unknown without a reason`] : []),
    ...(suspended === 'odd' ? [] : [`suspended: ${suspended}`]),
    ...(leftOut ? [] : ['keyless is not left out']),
    ...(report.state === 'stopped' ? ['it is not stopped'] : []),
  ];
}

/** What the page says that is not so. */
async function liesOfPage(): Promise<string[]> {
  const suspended = (await page.textContent('#suspended')) ?? '';
  const dot = (await page.getAttribute('#dot', 'class')) ?? '';
  const title = await page.title();
  return [
    ...(['1', 'not known', '–'].includes(suspended) ? [] : [`suspended: ${suspended}`]),
    ...(dot.includes('is-good') || dot.includes('is-busy') ? [`the headline is ${dot}`] : []),
    ...(title.includes(replica.database) ? [] : [`title: ${title}`]),
  ];
}

const isSilent = (fault: Fault) => fault === 'down' || fault === 'slow' || fault === 'frozen';

/** What must be seen in the end, besides that nothing is ever a lie. */
function expectation(fault: Fault, at: readonly Side[]): (report: LagReport) => boolean {
  const isUnseen = (side: Side) => at.includes(side) && isSilent(fault);
  return ({ sourcePosition, appliedPosition, suspendedTables, deadLetters, problems }) =>
    // A full source may or may not answer.
    ((fault === 'full' && at.includes('source')) || (sourcePosition === null) === isUnseen('source')) &&
    (appliedPosition === null) === isUnseen('target') &&
    (suspendedTables === null) === isUnseen('target') &&
    (deadLetters === null) === isUnseen('target') &&
    sides.every((side) => !isUnseen(side) || problems.some((problem) => problem.startsWith(side)));
}

/** The state that `lag` must show in the end; null: any that is no lie. */
function expectedState(fault: Fault, at: readonly Side[]): RegExp | null {
  // Rows that a full source does not take cannot fill the target.
  if (fault === 'full') return at.includes('source') ? null : /^(retrying|unknown)$/;
  if (at.includes('target')) return /^unknown$/;
  return fault === 'read-only' ? /^streaming$/ : null;
}

const cells = faults.flatMap((fault) => [
  { fault, at: ['source'] as Side[] },
  { fault, at: ['target'] as Side[] },
  { fault, at: ['source', 'target'] as Side[] },
]);

describe.each(cells.filter(({ fault }) => fault !== 'full' || targetDisk !== null))('$fault: $at', ({ fault, at }) => {
  test('lag, /status.json, the metrics and the page tell the truth, or that it is not known and why', async () => {
    for (const side of at) await begin(fault, side);
    try {
      const isAsExpected = expectation(fault, at);
      const state = expectedState(fault, at);
      await expect
        .poll(async () => {
          const report = await lag();
          expect(liesOf(report)).toEqual([]);
          return isAsExpected(report) && (state?.test(report.state) ?? true) ? 'as expected' : report;
        }, patient)
        .toBe('as expected');
      await expect
        .poll(async () => {
          const { lag: report, headline } = await status();
          expect(liesOf(report)).toEqual([]);
          expect(['warn', 'bad']).toContain(headline.tone);
          return isAsExpected(report) ? 'as expected' : report;
        }, patient)
        .toBe('as expected');
      const isUnseen = (side: Side) => at.includes(side) && isSilent(fault);
      await expect
        .poll(async () => {
          const text = await metrics();
          return {
            isSuspended: text.includes('tidegate_table_suspended{table="odd"} 1'),
            isLeftOut: text.includes('tidegate_left_out_tables{state="refused"'),
            isLagKnown: /^tidegate_lag_bytes \d/m.test(text),
            isTargetReachable: text.includes('tidegate_reachable{side="target"} 1'),
          };
        }, patient)
        .toEqual({
          isSuspended: !isUnseen('target'),
          isLeftOut: !isUnseen('target'),
          isLagKnown: fault === 'full' && at.includes('source') ? expect.any(Boolean) : !at.some(isUnseen),
          isTargetReachable: !isUnseen('target'),
        });
      await expect
        .poll(async () => await page.textContent('#suspended'), patient)
        .toBe(isUnseen('target') ? 'not known' : '1');
      expect(await liesOfPage()).toEqual([]);
    } finally {
      for (const side of at) await end(fault, side);
    }
  });
});
