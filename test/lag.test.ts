import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LagReport } from '../src/monitoring/lag-report.ts';
import { startSource } from '../sandbox/servers/source.ts';
import type { SourceServer, TargetServer } from '../sandbox/servers/server.ts';
import { startTarget } from '../sandbox/servers/target.ts';

import { Streaming } from './stream/streaming.ts';
import { type CommandResult, runCli } from './support/cli.ts';

const day = 86_400;

/** Servers of its own: they are stopped, and their binlogs purged. */
let source: SourceServer;
let target: TargetServer;
let streaming: Streaming;

beforeAll(async () => {
  [source, target] = await Promise.all([startSource({ asProcess: true }), startTarget({ asProcess: true })]);
  streaming = await Streaming.start(
    async (admin) => {
      await admin.query('set global expire_logs_days = 3');
      await admin.query('create table visit (id int not null primary key, at datetime) engine=InnoDB');
      await admin.query('create database if not exists elsewhere');
      await admin.query('create table if not exists elsewhere.note (id int not null auto_increment primary key)');
    },
    { source, target },
  );
});

afterAll(async () => {
  await streaming?.end();
  await Promise.all([source?.stop(), target?.stop()]);
});

interface Answer {
  readonly report: LagReport;
  readonly result: CommandResult;
}

async function lag(...args: string[]): Promise<Answer> {
  const result = await runCli(['lag', '--json', ...args], streaming.env);
  return { report: JSON.parse(result.stdout) as LagReport, result };
}

/** Asks until the answer is so: a machine that is busy may need several. What it said last is part of the failure. */
async function lagUntil(isSo: (report: LagReport) => boolean, ...args: string[]): Promise<Answer> {
  let answer: Answer | null = null;
  await streaming
    .until(async () => {
      answer = await lag(...args);
      return isSo(answer.report);
    }, 'lag says so')
    .catch((error: unknown) => {
      throw new Error(JSON.stringify(answer?.report), { cause: error });
    });
  return answer as unknown as Answer;
}

test('an idle source with rotations and other databases at work is no lag, and the checkpoint goes along', async () => {
  const files = new Set<string>();
  for (let round = 0; round < 3; round++) {
    await streaming.source.query('flush binary logs');
    await streaming.source.query('insert into elsewhere.note values (null)');
    // MariaDB goes on writing a little of its own after a rotation: bytes, which are nobody's transaction.
    const { report: passed } = await lagUntil(({ transactionsBehind }) => transactionsBehind === 0);
    expect(passed.secondsBehind).toBe(0);
    const { report, result } = await lagUntil(({ bytesBehind }) => bytesBehind === 0, '--max-seconds', '0');
    expect(report).toMatchObject({ secondsBehind: 0, transactionsBehind: 0, problems: [] });
    expect(report).toMatchObject({ retentionSeconds: 3 * day, headroomSeconds: 3 * day });
    expect(result.code).toBe(0);
    files.add(report.appliedPosition?.split(':')[0] ?? '');
  }
  expect(files.size).toBe(3);
  // Both are of one machine.
  await lagUntil(({ state, clockSkewSeconds }) => state === 'streaming' && Math.abs(clockSkewSeconds ?? 99) <= 1);
});

test('--watch goes on until Ctrl-C, and ends with what it said last', async () => {
  const child = spawn(process.execPath, ['src/cli.ts', 'lag', '--watch', '--json'], {
    cwd: new URL('..', import.meta.url),
    env: { PATH: process.env['PATH'], ...streaming.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  const reports: LagReport[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    reports.push(JSON.parse(line) as LagReport);
    if (reports.length === 2) child.kill('SIGINT');
  }
  expect(reports.length).toBeGreaterThanOrEqual(2);
  expect(reports.at(-1)).toMatchObject({ state: 'streaming', secondsBehind: 0 });
  expect((await closed)[0]).toBe(0);
});

test('without the service it counts what is missing, and how long the source will still have it', async () => {
  await streaming.source.query('insert into visit values (0, now())');
  await streaming.settled();
  await streaming.run.stop();
  for (let id = 1; id <= 5; id++) await streaming.source.query('insert into visit values (?, now())', [id]);
  await sleep(2_100);
  const { report } = await lag();
  expect(report).toMatchObject({ state: 'stopped', transactionsBehind: 5, headroomSeconds: 3 * day });
  // Nothing is applied by a service that is stopped, which is no figure.
  expect(report).toMatchObject({ reason: null, rowsPerSecond: null, secondsToCatchUp: null, snapshot: null });
  expect(report.bytesBehind).toBeGreaterThan(0);
  expect(report.secondsBehind).toBeGreaterThanOrEqual(2);
  expect((await lag('--max-seconds', '1')).result.code).toBe(1);
  await streaming.source.query('flush binary logs');
  const later = (await lag()).report;
  expect(later.headroomSeconds).toBeLessThanOrEqual(3 * day - 2);
  expect(later.headroomSeconds).toBeGreaterThan(2 * day);
  expect(later.bytesBehind).toBeGreaterThan(report.bytesBehind ?? 0);
  const { stdout } = await runCli(['lag'], streaming.env);
  expect(stdout).toMatch(/^stopped: .* 5 transactions\nthe source keeps what is needed .* 2 days/);
});

test.each(['source', 'target'] as const)('a frozen %s is told from what is known', async (side) => {
  const pid = (side === 'source' ? source : target).pid ?? 0;
  process.kill(pid, 'SIGSTOP');
  try {
    const { report, result } = await lagUntil(({ problems }) => problems.length === 1);
    expect(result.code).toBe(2);
    expect(report.secondsBehind).toBeNull();
    expect(report.problems).toEqual([expect.stringMatching(`^${side}: no answer within`)]);
    expect(report.sourcePosition === null).toBe(side === 'source');
    expect(report.appliedPosition === null).toBe(side === 'target');
    expect(report.state).toBe(side === 'source' ? 'stopped' : 'unknown');
  } finally {
    process.kill(pid, 'SIGCONT');
  }
});

test('a server that is down is told', async () => {
  for (const port of ['SOURCE_DB_PORT', 'TARGET_DB_PORT']) {
    const { code, stdout } = await runCli(['lag', '--json'], { ...streaming.env, [port]: '1' });
    const report = JSON.parse(stdout) as LagReport;
    expect(code).toBe(2);
    expect(report.problems).toHaveLength(1);
    expect(report.sourcePosition === null).toBe(port === 'SOURCE_DB_PORT');
  }
});

test('a binlog that was purged too early leaves no headroom, and is named', async () => {
  const { report: before } = await lag();
  const file = before.sourcePosition?.split(':')[0] ?? '';
  // A server may keep one for a while that somebody has just read.
  await streaming.until(async () => {
    await streaming.source.query(`purge binary logs to '${file}'`);
    const [[oldest]] = await streaming.source.query<RowDataPacket[]>('show binary logs');
    return oldest?.['Log_name'] === file;
  }, 'it is purged');
  const { report } = await lag();
  expect(report).toMatchObject({ headroomSeconds: 0, bytesBehind: null });
  expect(report.problems.join()).toContain(before.appliedPosition?.split(':')[0]);
});
