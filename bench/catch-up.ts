import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import type { BenchContext } from './context.ts';
import { insertMeasuredRows, measuredTableDdl, updateMeasuredRowsSingly } from './measured-table.ts';
import { MeasuredRun } from './measured-run.ts';
import { type BenchLine, type BenchResult, formatRate, rate } from './report.ts';
import { median } from './statistics.ts';
import { createReplica, type Replica } from '../testing/replica.ts';

const bar = 0.5;

/**
 * Catches up with a backlog that was written while Tidegate was stopped. The yardstick is zongji alone, which decodes the same
 * binlog range in the same round. There are two backlogs: inserts of a thousand rows per transaction, and single-row updates.
 */
export async function catchUp(context: BenchContext): Promise<BenchResult> {
  const { source, target, quick, say } = context;
  const bulkRows = quick ? 300_000 : 600_000;
  const singleRows = quick ? 30_000 : 100_000;
  const rounds = quick ? 1 : 3;
  const replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  try {
    await admin.query(measuredTableDdl('treatment'));
    await caughtUp(replica);
    const bulk: Round[] = [];
    const single: Round[] = [];
    for (let round = 0; round < rounds; round++) {
      bulk.push(
        await oneRound(context, replica, admin, bulkRows, async () => {
          await insertMeasuredRows(admin, 'treatment', round * bulkRows + 1, (round + 1) * bulkRows, 1_000);
        }),
      );
      say(`catch-up: bulk round ${round + 1}: ${describe(bulk.at(-1))}`);
      single.push(
        await oneRound(context, replica, admin, singleRows, async () => {
          await updateMeasuredRowsSingly(admin, 'treatment', round * bulkRows + 1, singleRows);
        }),
      );
      say(`catch-up: single-row round ${round + 1}: ${describe(single.at(-1))}`);
    }
    return {
      lines: [...summary('bulk inserts', bulk, bar), ...summary('single-row updates', single)],
      figures: { bulkRows, singleRows, bulk, single },
    };
  } finally {
    await admin.end();
    await replica.drop();
  }
}

interface Round {
  readonly rows: number;
  readonly zongjiMs: number;
  /** From the first applied batch seen at the target to the last, without the start-up of the program. */
  readonly applyMs: number;
  readonly wallMs: number;
}

async function oneRound(
  context: BenchContext,
  replica: Replica,
  admin: Connection,
  rows: number,
  write: () => Promise<void>,
): Promise<Round> {
  const from = await binlogPosition(admin);
  // The backlog is written without a sync per transaction, because its creation is not measured.
  await admin.query('set global sync_binlog = 0, global innodb_flush_log_at_trx_commit = 2');
  await write();
  await admin.query('set global sync_binlog = 1, global innodb_flush_log_at_trx_commit = 1');
  const zongjiMs = await zongjiAlone(context, from, rows);
  const run = await caughtUp(replica);
  return { rows, zongjiMs, applyMs: run.applyMs, wallMs: run.wallMs };
}

async function binlogPosition(admin: Connection): Promise<{ file: string; position: string }> {
  const [[status]] = await admin.query<RowDataPacket[]>('show master status');
  return { file: String(status?.['File']), position: String(status?.['Position']) };
}

async function zongjiAlone(
  { source }: BenchContext,
  from: { file: string; position: string },
  rows: number,
): Promise<number> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    new URL('zongji-alone.ts', import.meta.url).pathname,
    source.host,
    String(source.port),
    source.user,
    source.password,
    from.file,
    from.position,
    String(rows),
    '990017',
  ]);
  return Number(/"milliseconds":([\d.]+)/u.exec(stdout)?.[1]);
}

async function caughtUp(replica: Replica): Promise<{ applyMs: number; wallMs: number }> {
  const run = new MeasuredRun(replica.env, ['--until-caught-up']);
  try {
    await run.succeeded();
  } finally {
    await run.kill();
  }
  return { applyMs: run.loggedAt('caught up') - run.loggedAt('catching up'), wallMs: Date.now() - run.spawnedAt };
}

function summary(name: string, rounds: readonly Round[], least?: number): BenchLine[] {
  const zongji = median(rounds.map(({ rows, zongjiMs }) => rate(rows, zongjiMs)));
  const tidegate = median(rounds.map(({ rows, applyMs }) => rate(rows, applyMs)));
  const complete = median(rounds.map(({ rows, wallMs }) => rate(rows, wallMs)));
  const ratios = rounds.map(({ zongjiMs, applyMs }) => zongjiMs / applyMs);
  const ratio = median(ratios);
  return [
    { bench: 'catch-up', what: `${name}: zongji alone`, value: formatRate(zongji) },
    { bench: 'catch-up', what: `${name}: tidegate, applied`, value: formatRate(tidegate) },
    { bench: 'catch-up', what: `${name}: tidegate, entire run with start-up`, value: formatRate(complete) },
    {
      bench: 'catch-up',
      what: `${name}: tidegate / zongji alone`,
      value: `${ratio.toFixed(2)} x (${ratios.map((each) => each.toFixed(2)).join(', ')})`,
      ...(least === undefined ? {} : { bar: `>= ${least} x`, met: ratio >= least }),
    },
  ];
}

function describe(round: Round | undefined): string {
  if (round === undefined) return '';
  const { rows, zongjiMs, applyMs, wallMs } = round;
  return `zongji ${formatRate(rate(rows, zongjiMs))}, tidegate ${formatRate(rate(rows, applyMs))} (entire run ${wallMs} ms)`;
}
