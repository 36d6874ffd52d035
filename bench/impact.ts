import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from 'mysql2/promise';
import { type Replica, createReplica } from '../testing/replica.ts';
import { startTarget } from '../testing/servers/target.ts';
import type { TargetServer } from '../testing/servers/server.ts';
import { type BenchContext, durableTarget } from './context.ts';
import { MeasuredRun } from './measured-run.ts';
import { insertMeasuredRows, measuredTableDdl } from './measured-table.ts';
import type { BenchLine, BenchResult } from './report.ts';
import { quantile } from './statistics.ts';

const engines = ['InnoDB', 'MyISAM'] as const;
type Engine = (typeof engines)[number];

const writesPerSecond = 100;
const connections = 8;
/** The slowdown that users of the source may notice. */
const bar = { ratio: 1.5, addedMs: 10, longestMs: 100 } as const;

/**
 * Measures the time of a write from its due moment to its acknowledgement: 100 writes a second on InnoDB and MyISAM tables. It
 * runs with the source alone, then during a snapshot of the same tables at default settings. The source shares its processors
 * with Tidegate and PostgreSQL, but not its disk with PostgreSQL, because Tidegate cannot throttle PostgreSQL's writes.
 */
export async function impact(context: BenchContext): Promise<BenchResult> {
  const { source, quick, say } = context;
  const rows = quick ? 500_000 : 3_000_000;
  const target = await startTargetInMemory();
  const replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  try {
    await admin.query('set global sync_binlog = 0, global innodb_flush_log_at_trx_commit = 2');
    for (const engine of engines) {
      await admin.query(measuredTableDdl(tableOf(engine)).replace('engine=InnoDB', `engine=${engine}`));
      await insertMeasuredRows(admin, tableOf(engine), 1, rows, 100_000);
    }
    await admin.query('set global sync_binlog = 1, global innodb_flush_log_at_trx_commit = 1');
    // Writes that remain from filling the tables must not count.
    await admin.query('flush tables');
    await sleep(quick ? 5_000 : 30_000);
    const alone = await writeWhile(replica, rows, async () => await sleep(quick ? 5_000 : 20_000));
    say(`impact: alone, ${describe(alone)}`);
    const run = new MeasuredRun(replica.env);
    try {
      await run.logged('snapshot started');
      const during = await writeWhile(
        replica,
        rows,
        async () => void (await run.logged('snapshot finished', undefined, 600_000)),
      );
      const seconds = (run.loggedAt('snapshot finished') - run.loggedAt('snapshot started')) / 1000;
      say(`impact: during a snapshot of ${seconds.toFixed(1)} s, ${describe(during)}`);
      return {
        lines: [
          {
            bench: 'impact',
            what: `snapshot of ${2 * rows} rows under ${writesPerSecond} writes/s`,
            value: `${seconds.toFixed(1)} s`,
          },
          ...engines.flatMap((engine) => summary(engine, alone[engine], during[engine])),
        ],
        figures: { rows, seconds, alone: figures(alone), during: figures(during) },
      };
    } finally {
      await run.stop();
    }
  } finally {
    await admin.end();
    await replica.drop();
    await target.stop();
  }
}

/** A target with its files in memory. */
async function startTargetInMemory(): Promise<TargetServer> {
  const { TMPDIR } = process.env;
  process.env['TMPDIR'] = '/dev/shm';
  try {
    return await startTarget({ args: [...durableTarget], asProcess: true });
  } finally {
    if (TMPDIR === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = TMPDIR;
  }
}

/** The milliseconds of each write, by engine. */
type Latencies = Readonly<Record<Engine, number[]>>;

function tableOf(engine: Engine): string {
  return `treatment_${engine.toLowerCase()}`;
}

/** Writes at a steady rate, independent of the server's speed, until `until` resolves. */
async function writeWhile(replica: Replica, rows: number, until: () => Promise<void>): Promise<Latencies> {
  const sessions = await Promise.all(Array.from({ length: connections }, async () => await replica.sourceAdmin()));
  const latencies: Latencies = { InnoDB: [], MyISAM: [] };
  const stop = new AbortController();
  const write = async (session: Connection, engine: Engine, dueAt: number, sequence: number) => {
    const key = 1 + ((sequence * 7_919) % rows);
    const table = tableOf(engine);
    // Three updates anywhere in the table for each row that is appended.
    if (sequence % 8 < 6) await session.query(`update ${table} set status = status + 1 where id = ${key}`);
    else
      await session.query(
        `insert into ${table} select max(id) + 1, 1, 1, 1, 'new', 1, '2024-01-01', now(), 1, 1, 1, 1, 1, 'D1', 'new' from ${table}`,
      );
    latencies[engine].push(performance.now() - dueAt);
  };
  const startedAt = performance.now();
  const worker = async (session: Connection, index: number) => {
    for (let sequence = index; !stop.signal.aborted; sequence += connections) {
      const dueAt = startedAt + (sequence * 1000) / writesPerSecond;
      await sleep(Math.max(0, dueAt - performance.now()));
      await write(session, engines[sequence % 2] ?? 'InnoDB', dueAt, sequence);
    }
  };
  const working = sessions.map(worker);
  try {
    await until();
  } finally {
    stop.abort();
    await Promise.all(working);
    for (const session of sessions) session.destroy();
  }
  return latencies;
}

function summary(engine: Engine, alone: readonly number[], during: readonly number[]): BenchLine[] {
  const before = quantile(alone, 0.99);
  const after = quantile(during, 0.99);
  const longest = quantile(during, 1);
  const allowed = Math.max(before * bar.ratio, before + bar.addedMs);
  return [
    {
      bench: 'impact',
      what: `${engine}: p50 alone / during a snapshot`,
      value: `${ms(quantile(alone, 0.5))} / ${ms(quantile(during, 0.5))}`,
    },
    {
      bench: 'impact',
      what: `${engine}: p99 alone / during a snapshot`,
      value: `${ms(before)} / ${ms(after)}`,
      bar: `<= ${bar.ratio} x or + ${bar.addedMs} ms`,
      met: after <= allowed,
    },
    {
      bench: 'impact',
      what: `${engine}: longest write alone / during a snapshot`,
      value: `${ms(quantile(alone, 1))} / ${ms(longest)}`,
      bar: `<= ${bar.longestMs} ms`,
      met: longest <= bar.longestMs,
    },
  ];
}

function describe(latencies: Latencies): string {
  return engines
    .map((engine) => {
      const of = latencies[engine];
      return `${engine} p50 ${ms(quantile(of, 0.5))} p99 ${ms(quantile(of, 0.99))} max ${ms(quantile(of, 1))}`;
    })
    .join(', ');
}

function figures(latencies: Latencies): Record<string, unknown> {
  return Object.fromEntries(
    engines.map((engine) => [
      engine,
      {
        writes: latencies[engine].length,
        p50: quantile(latencies[engine], 0.5),
        p99: quantile(latencies[engine], 0.99),
        max: quantile(latencies[engine], 1),
      },
    ]),
  );
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}
