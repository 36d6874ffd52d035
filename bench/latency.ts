import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from 'mysql2/promise';
import { Client } from 'pg';
import type { BenchContext } from './context.ts';
import { MeasuredRun } from './measured-run.ts';
import { type BenchResult } from './report.ts';
import { quantile } from './statistics.ts';
import { createReplica, type Replica } from '../testing/replica.ts';

const transactionsPerSecond = 100;
const barP50 = 25;
const barP99 = 150;

/**
 * Measures the time from a commit at the source to its row at the target, with one hundred single-row transactions a second. The
 * clock of a row starts when its commit is acknowledged, and, more strictly, when it is sent. It stops when a reader that
 * constantly polls the target sees the row.
 */
export async function latency(context: BenchContext): Promise<BenchResult> {
  const { source, target, quick, say } = context;
  const seconds = quick ? 15 : 60;
  const replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  const run = new MeasuredRun(replica.env);
  try {
    await admin.query('create table beat (id bigint not null primary key, note varchar(80) not null) engine=InnoDB');
    await run.logged('streaming');
    say(`latency: ${transactionsPerSecond} transactions/s for ${seconds} s`);
    await beatUntilVisible(replica, admin);
    const count = seconds * transactionsPerSecond;
    const seen = watch(replica, count);
    const { sentAt, acknowledgedAt } = await beat(admin, count);
    const visibleAt = await seen;
    const fromAcknowledged = visibleAt.map((at, index) => Math.max(0, at - (acknowledgedAt[index] ?? Number.NaN)));
    const fromSent = visibleAt.map((at, index) => at - (sentAt[index] ?? Number.NaN));
    await run.stop();
    const [p50, p99] = [quantile(fromAcknowledged, 0.5), quantile(fromAcknowledged, 0.99)];
    return {
      lines: [
        {
          bench: 'latency',
          what: 'commit acknowledged to visible, p50',
          value: ms(p50),
          bar: `<= ${barP50} ms`,
          met: p50 <= barP50,
        },
        {
          bench: 'latency',
          what: 'commit acknowledged to visible, p99',
          value: ms(p99),
          bar: `<= ${barP99} ms`,
          met: p99 <= barP99,
        },
        { bench: 'latency', what: 'commit acknowledged to visible, max', value: ms(quantile(fromAcknowledged, 1)) },
        {
          bench: 'latency',
          what: 'commit sent to visible, p50 / p99',
          value: `${ms(quantile(fromSent, 0.5))} / ${ms(quantile(fromSent, 0.99))}`,
        },
      ],
      figures: {
        count,
        seconds,
        p50,
        p99,
        max: quantile(fromAcknowledged, 1),
        sentP50: quantile(fromSent, 0.5),
        sentP99: quantile(fromSent, 0.99),
      },
    };
  } finally {
    await run.kill();
    await admin.end();
    await replica.drop();
  }
}

/**
 * The time in milliseconds until each commit is visible while `work` runs: a transaction every 20 ms in table `beat`, with row
 * numbers that continue after `behind`.
 */
export async function beatThroughout(
  replica: Replica,
  admin: Connection,
  work: () => Promise<void>,
  behind: number,
): Promise<number[]> {
  const late: number[] = [];
  const client = new Client(replica.targetAdminOptions);
  await client.connect();
  const over = new AbortController();
  const working = work().finally(() => over.abort());
  working.catch(() => undefined);
  try {
    for (let id = behind + 1; !over.signal.aborted; id++) {
      await admin.query('insert into beat (id, note) values (?, ?)', [id, `beat number ${id}`]);
      const acknowledged = performance.now();
      for (;;) {
        const { rowCount } = await client.query(`select from "${replica.schema}".beat where id = $1`, [id]);
        if (rowCount === 1) break;
        if (performance.now() - acknowledged > 60_000) throw new Error('a row did not arrive within a minute');
        await sleep(1);
      }
      late.push(performance.now() - acknowledged);
      await sleep(20);
    }
    await working;
    return late;
  } finally {
    await client.end();
  }
}

/** Writes one row before the measured ones, so that table and connections are warm on both sides. */
async function beatUntilVisible(replica: Replica, admin: Connection): Promise<void> {
  await admin.query(`insert into beat (id, note) values (0, 'first')`);
  for (;;) {
    const { rows } = await replica.targetAdmin.query(`select 1 from "${replica.schema}".beat where id = 0`);
    if (rows.length > 0) return;
    await sleep(20);
  }
}

/** Commits rows 1 to `count` at a steady rate; a late row does not delay the next ones. */
async function beat(admin: Connection, count: number): Promise<{ sentAt: number[]; acknowledgedAt: number[] }> {
  const sentAt: number[] = [];
  const acknowledgedAt: number[] = [];
  const startedAt = performance.now();
  for (let id = 1; id <= count; id++) {
    const wait = startedAt + (id * 1_000) / transactionsPerSecond - performance.now();
    if (wait > 0) await sleep(wait);
    sentAt.push(performance.now());
    await admin.query('insert into beat (id, note) values (?, ?)', [id, `beat number ${id}`]);
    acknowledgedAt.push(performance.now());
  }
  return { sentAt, acknowledgedAt };
}

/** Polls the newest row in a tight loop; element n of the result is the time when row n + 1 was first seen. */
async function watch(replica: Replica, count: number): Promise<number[]> {
  const client = new Client(replica.targetAdminOptions);
  await client.connect();
  const visibleAt: number[] = [];
  const deadline = performance.now() + (count / transactionsPerSecond + 60) * 1_000;
  try {
    while (visibleAt.length < count) {
      const { rows } = await client.query<{ newest: string }>({
        name: 'newest',
        text: `select max(id)::text as newest from "${replica.schema}".beat`,
      });
      const now = performance.now();
      while (visibleAt.length < Number(rows[0]?.newest)) visibleAt.push(now);
      if (now > deadline) throw new Error(`only ${visibleAt.length} of ${count} rows arrived`);
      await sleep(1);
    }
  } finally {
    await client.end();
  }
  return visibleAt;
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}
