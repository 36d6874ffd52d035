import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LagReport } from '../../src/monitoring/lag-report.ts';
import { RunProcess } from '../../testing/run-process.ts';
import { startSource } from '../../testing/servers/source.ts';
import type { SourceServer, TargetServer } from '../../testing/servers/server.ts';
import { startTarget } from '../../testing/servers/target.ts';
import { Streaming } from '../pipeline/stream/support/streaming.ts';
import { type CommandResult, runCli } from '../support/cli.ts';
import { createReplica } from '../../testing/replica.ts';
import { Proxy } from '../support/proxy.ts';
import { purgeBinlogs } from '../support/purge-binlogs.ts';
import { commandEnv } from '../../testing/command-env.ts';
import { program } from '../../testing/program.ts';

const day = 86_400;

/** This suite stops its servers and purges their binlogs, so it starts its own. */
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

/** Asks until the report meets the condition; a busy machine may need several attempts. The failure contains the last report. */
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

test('an idle source with rotations and changes in other databases has no lag, and the checkpoint moves along', async () => {
  const files = new Set<string>();
  for (let round = 0; round < 3; round++) {
    await streaming.source.query('flush binary logs');
    await streaming.source.query('insert into elsewhere.note values (null)');
    // MariaDB writes a few more bytes after a rotation, which belong to no transaction.
    const { report: passed } = await lagUntil(({ transactionsBehind }) => transactionsBehind === 0);
    expect(passed.secondsBehind).toBe(0);
    const { report, result } = await lagUntil(({ bytesBehind }) => bytesBehind === 0, '--max-seconds', '0');
    expect(report).toMatchObject({ secondsBehind: 0, transactionsBehind: 0, problems: [] });
    expect(report).toMatchObject({ retentionSeconds: 3 * day, headroomSeconds: 3 * day });
    expect(result.code).toBe(0);
    files.add(report.appliedPosition?.split(':')[0] ?? '');
  }
  expect(files.size).toBe(3);
  // Both clocks belong to one machine.
  await lagUntil(({ state, clockSkewSeconds }) => state === 'streaming' && Math.abs(clockSkewSeconds ?? 99) <= 1);
});

test('constant writes in other databases of the source are no lag either', async () => {
  const stop = new AbortController();
  const writing = (async () => {
    while (!stop.signal.aborted) {
      await streaming.source.query('insert into elsewhere.note values (null)');
      await sleep(5);
    }
  })();
  try {
    let inARow = 0;
    await streaming.until(async () => {
      inARow = (await lag()).report.secondsBehind === 0 ? inARow + 1 : 0;
      return inARow === 5;
    }, 'it reports this five times in a row');
  } finally {
    stop.abort();
    await writing;
  }
});

test('an incomplete first copy is never a lag of 0, whether the service runs or not', async () => {
  const replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  await admin.query('create table visit (id int not null primary key, at datetime) engine=InnoDB');
  await admin.query('insert into visit values (1, now())');
  admin.destroy();
  // The snapshot window is in another hour.
  const hour = (later: number) => `${String((new Date().getUTCHours() + later) % 24).padStart(2, '0')}:00`;
  const run = new RunProcess({ ...replica.env, SNAPSHOT_WINDOW: `${hour(6)}-${hour(7)} UTC` });
  const ask = async () => {
    const { code, stdout } = await runCli(['lag', '--json', '--max-seconds', '60'], replica.env);
    return { code, report: JSON.parse(stdout) as LagReport };
  };
  try {
    await run.logged('snapshot waits for SNAPSHOT_WINDOW');
    await streaming.until(async () => (await ask()).report.snapshot !== null, 'lag reports the first copy');
    const snapshot = { tables: 1, tablesDone: 0, rows: 0, percent: 0 };
    const unknown = { secondsBehind: null, secondsToCatchUp: null };
    expect(await ask()).toMatchObject({ code: 2, report: { state: 'snapshotting', snapshot, ...unknown } });
    await run.stop();
    const { code, report } = await ask();
    expect({ code, ...report }).toMatchObject({ code: 2, state: 'stopped', snapshot: null, ...unknown });
    expect(report.problems.join()).toContain('the first copy is not complete: 1 table');
  } finally {
    await run.kill();
    await replica.drop();
  }
});

test.each(['source', 'target'] as const)('a session that the %s ends midway costs nothing', async (side) => {
  const prefix = side.toUpperCase();
  await using proxy = await Proxy.start(side === 'source' ? source : target);
  const env = { ...streaming.env, [`${prefix}_DB_HOST`]: proxy.host, [`${prefix}_DB_PORT`]: String(proxy.port) };
  const statement = side === 'source' ? 'unix_timestamp' : '"dead_letters"';
  proxy.cutAtPacket(1, (packet) => packet.includes(statement));
  const report = JSON.parse((await runCli(['lag', '--json'], env)).stdout) as LagReport;
  expect(proxy).toMatchObject({ cuts: 1, connections: 2 });
  expect(report).toMatchObject({ state: 'streaming', suspendedTables: [], deadLetters: [], problems: [] });
});

test('a service that holds the lease and cannot report is not stopped', async () => {
  const other = await streaming.newTargetSession();
  await other.query('begin');
  await other.query('select from tidegate_raw.status for update');
  try {
    const { report } = await lagUntil(({ state }) => state !== 'streaming');
    expect(report).toMatchObject({ state: 'unknown', rowsPerSecond: null, suspendedTables: [] });
    expect(report.problems).toEqual([expect.stringMatching(/:\d+ holds the lease and has reported nothing for \d+ s/)]);
  } finally {
    await other.query('rollback');
    await other.end();
  }
  await lagUntil(({ state }) => state === 'streaming');
});

test('--watch on a terminal does not scroll, and restores the terminal', async () => {
  const command = `stty cols 40 rows 20; exec "${process.execPath}" ${program()} lag --watch`;
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    cwd: new URL('../..', import.meta.url),
    env: commandEnv({ TERM: 'xterm', ...streaming.env }),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  let text = '';
  child.stdout.setEncoding('utf8');
  let isTyped = false;
  const frames = () => text.split('\u001b[H').slice(1);
  for await (const part of child.stdout) {
    text += String(part);
    // A typed Ctrl-C ends it; a second one from an impatient person changes nothing.
    if (frames().length >= 3 && !isTyped) child.stdin.write('\u0003\u0003');
    isTyped = frames().length >= 3;
  }
  expect((await closed)[0]).toBe(0);
  const [before, rest = ''] = text.split('\u001b[?1049h');
  const [view = '', after] = rest.split('\u001b[?1049l');
  expect(before).toBe('');
  expect(frames().length).toBeGreaterThanOrEqual(3);
  for (const frame of view.split('\u001b[H').slice(1)) {
    const lines = stripVTControlCharacters(frame).split(/\r+\n/);
    expect(lines[0]).toMatch(/^clinic_.* → raw/);
    expect(lines[2]).toMatch(/^streaming, 0 s behind/);
    expect(lines.length).toBeLessThanOrEqual(20);
    expect(lines.filter((line) => line.length > 40)).toEqual([]);
  }
  expect(stripVTControlCharacters(after ?? '')).toMatch(/^streaming, 0 s behind.*\r+\n {2}behind/);
});

test('--watch runs until Ctrl-C, and ends with its last report', async () => {
  const child = spawn(process.execPath, [program(), 'lag', '--watch', '--json'], {
    cwd: new URL('../..', import.meta.url),
    env: commandEnv(streaming.env),
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

test('without the service it counts what is missing, and how long the source keeps it', async () => {
  await streaming.source.query('insert into visit values (0, now())');
  await streaming.caughtUp();
  await streaming.run.stop();
  for (let id = 1; id <= 5; id++) await streaming.source.query('insert into visit values (?, now())', [id]);
  await sleep(2_100);
  const { report } = await lagUntil(({ state, headroomSeconds }) => state === 'stopped' && headroomSeconds !== null);
  expect(report).toMatchObject({ state: 'stopped', transactionsBehind: 5, headroomSeconds: 3 * day });
  // A stopped service applies nothing, so its rate is unknown.
  expect(report).toMatchObject({ reason: null, rowsPerSecond: null, secondsToCatchUp: null, snapshot: null });
  expect(report.bytesBehind).toBeGreaterThan(0);
  expect(report.secondsBehind).toBeGreaterThanOrEqual(2);
  expect((await lag('--max-seconds', '1')).result.code).toBe(1);
  await streaming.source.query('flush binary logs');
  const later = (await lagUntil(({ headroomSeconds, bytesBehind }) => headroomSeconds !== null && bytesBehind !== null))
    .report;
  expect(later.headroomSeconds).toBeLessThanOrEqual(3 * day - 2);
  expect(later.headroomSeconds).toBeGreaterThan(2 * day);
  expect(later.bytesBehind).toBeGreaterThan(report.bytesBehind ?? 0);
  let stdout = '';
  await streaming.until(async () => {
    ({ stdout } = await runCli(['lag'], streaming.env));
    return /^stopped, .* behind\n/.test(stdout);
  }, 'lag says so in words');
  expect(stdout).toMatch(/behind +5 transactions, .* of binlog\n/);
  expect(stdout).toMatch(/headroom +the source keeps what is needed for at least 2 days 23 h more\n/);
});

test.each(['source', 'target'] as const)('with a frozen %s lag reports what is still known', async (side) => {
  const pid = (side === 'source' ? source : target).pid ?? 0;
  process.kill(pid, 'SIGSTOP');
  try {
    const { report, result } = await lagUntil(({ problems }) => problems.length === 1);
    expect(result.code).toBe(2);
    expect(report.secondsBehind).toBeNull();
    expect(report.problems).toEqual([expect.stringMatching(`^${side}: no answer `)]);
    expect(report.sourcePosition === null).toBe(side === 'source');
    expect(report.appliedPosition === null).toBe(side === 'target');
    expect(report.state).toBe(side === 'source' ? 'stopped' : 'unknown');
    for (const list of [
      'suspendedTables',
      'deadLetters',
      'jobs',
      'verifications',
      'failedJobs',
      'conversions',
    ] as const)
      expect([list, report[list] === null]).toEqual([list, side === 'target']);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
});

test('a server that is down is reported', async () => {
  for (const port of ['SOURCE_DB_PORT', 'TARGET_DB_PORT']) {
    const { code, stdout } = await runCli(['lag', '--json'], { ...streaming.env, [port]: '1' });
    const report = JSON.parse(stdout) as LagReport;
    expect(code).toBe(2);
    expect(report.problems).toHaveLength(1);
    expect(report.sourcePosition === null).toBe(port === 'SOURCE_DB_PORT');
  }
});

test('a binlog that was purged too early leaves no headroom, and is named', async () => {
  const { report: before } = await lagUntil(
    ({ sourcePosition, appliedPosition }) => sourcePosition !== null && appliedPosition !== null,
  );
  await purgeBinlogs(streaming.source);
  const { report } = await lagUntil(({ headroomSeconds }) => headroomSeconds === 0);
  expect(report).toMatchObject({ headroomSeconds: 0, bytesBehind: null });
  expect(report.problems.join()).toContain(before.appliedPosition?.split(':')[0]);
});
