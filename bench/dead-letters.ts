import type { Connection } from 'mysql2/promise';
import { type Replica, createReplica } from '../testing/replica.ts';
import type { BenchContext } from './context.ts';
import { MeasuredRun } from './measured-run.ts';
import { insertMeasuredRows, measuredTableDdl } from './measured-table.ts';
import { type BenchLine, type BenchResult, formatRate, rate } from './report.ts';

const bar = 0.5;
/** One row in this many is bad: 10,000 bad rows among a million good ones. */
const every = 101;

interface Case {
  readonly table: string;
  readonly what: string;
  /** The value of `memo`, an expression of `seq`. */
  readonly memo: string;
  /** A statement for the target after its table exists. */
  readonly prepare?: string;
}

const bad = (value: string) => `if(seq % ${every} = 50, ${value}, concat('memo ', seq))`;

const clean: Case = { table: 'clean', what: 'clean', memo: `concat('memo ', seq)` };
const cases: readonly Case[] = [
  { table: 'no_text', what: 'bad rows that validation finds (no UTF-8)', memo: bad(`_utf8mb4 x'eda080'`) },
  {
    table: 'refused',
    what: 'bad rows that PostgreSQL refuses (a check constraint)',
    memo: bad(`'refused'`),
    prepare: `alter table raw.refused add constraint none_refused check (memo <> 'refused')`,
  },
];

/** Catches up with a backlog of a million rows, 1,000 per transaction: clean, and with 10,000 additional bad rows. */
export async function deadLetters(context: BenchContext): Promise<BenchResult> {
  const { source, target, quick, say } = context;
  const good = quick ? 200_000 : 1_000_000;
  const replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  try {
    for (const { table } of [clean, ...cases]) await admin.query(measuredTableDdl(table));
    await caughtUp(replica);
    for (const { prepare } of cases) if (prepare !== undefined) await replica.targetAdmin.query(prepare);
    const cleanRate = await measure(replica, admin, clean, good);
    say(`dead-letters: clean ${formatRate(cleanRate)}`);
    const lines: BenchLine[] = [{ bench: 'dead-letters', what: clean.what, value: formatRate(cleanRate) }];
    const figures: Record<string, unknown> = { good, clean: cleanRate };
    for (const one of cases) {
      const all = Math.round((good * every) / (every - 1));
      const found = await measure(replica, admin, one, all);
      const counted = await counts(replica, one.table);
      const ratio = found / cleanRate;
      figures[one.table] = { rate: found, ...counted };
      say(`dead-letters: ${one.table} ${formatRate(found)}, ${counted.deadLetters} dead letters, ${counted.rows} rows`);
      lines.push(
        {
          bench: 'dead-letters',
          what: `${one.what}: tidegate / clean`,
          value: `${ratio.toFixed(2)} x (${formatRate(found)})`,
          bar: `>= ${bar} x`,
          met: ratio >= bar,
        },
        {
          bench: 'dead-letters',
          what: `${one.what}: dead letters, good rows`,
          value: `${counted.deadLetters}, ${counted.rows}`,
          bar: `${all - good}, ${good}`,
          met: counted.deadLetters === all - good && counted.rows === good,
        },
      );
    }
    return { lines, figures };
  } finally {
    await admin.end();
    await replica.drop();
  }
}

/** Rows per second from the first batch to the last. */
async function measure(replica: Replica, admin: Connection, { table, memo }: Case, rows: number): Promise<number> {
  await admin.query('set global sync_binlog = 0, global innodb_flush_log_at_trx_commit = 2');
  await insertMeasuredRows(admin, table, 1, rows, 1_000, memo);
  await admin.query('set global sync_binlog = 1, global innodb_flush_log_at_trx_commit = 1');
  const run = await caughtUp(replica);
  return rate(rows, run.loggedAt('caught up') - run.loggedAt('catching up'));
}

async function caughtUp(replica: Replica): Promise<MeasuredRun> {
  const run = new MeasuredRun(replica.env, ['--until-caught-up']);
  try {
    await run.succeeded();
  } finally {
    await run.kill();
  }
  return run;
}

async function counts(replica: Replica, table: string): Promise<{ deadLetters: number; rows: number }> {
  const { rows } = await replica.targetAdmin.query<{ count: string; rows: string }>(
    `select (select count(*) from tidegate_raw.dead_letters where table_name = '${table}') as count,
            (select count(*) from raw.${table}) as rows`,
  );
  return { deadLetters: Number(rows[0]?.count), rows: Number(rows[0]?.rows) };
}
