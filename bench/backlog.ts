import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import mysql, { type Connection, type RowDataPacket } from 'mysql2/promise';
import { compareDatabases, isEqual } from '../testing/compare/compare.ts';
import { quoteName, readSourceTables, type SourceTable } from '../testing/compare/source-columns.ts';
import { insertRandomRows, prepareRandomSession } from '../testing/random/random-rows.ts';
import { SeededRandom } from '../testing/random/seeded-random.ts';
import { createReplica, type Replica } from '../testing/replica.ts';
import type { BenchContext } from './context.ts';
import { MeasuredRun } from './measured-run.ts';
import { measuredTableDdl } from './measured-table.ts';
import { type BenchResult, formatRate, rate } from './report.ts';

const tableCount = 424;
const bars = { ratio: 0.6, ageMs: 5_000, locks: 2_000 } as const;
/** The first key of the rows of the backlog. */
const firstKey = 1_000_000;
/** Statements sent to the source together. Each is a transaction of its own. */
const together = 500;
const killEveryMs = 5_000;

/** A table, and one row of it that the backlog repeats under other keys. */
interface Template {
  readonly table: SourceTable;
  readonly bytes: number;
  /** The statement that adds a row. It ends where the new key goes. */
  readonly insert: (key: number) => string;
}

/**
 * A backlog of small transactions over 424 tables, against the same number of rows in four tables. While it is applied, the checkpoint must
 * not grow old, and locks at the target must be few. Then the same once more, with a service that is killed. TIDEGATE_BENCH_SCHEMA=FILE takes the tables from a dump of a schema. The four tables are
 * then those whose rows have the size that is closest to the average.
 */
export async function backlog(context: BenchContext): Promise<BenchResult> {
  const { source, target, quick, say } = context;
  const transactions = quick ? 30_000 : 200_000;
  const replica = await createReplica(source, target);
  const admin = await mysql.createConnection({ ...replica.sourceAdminOptions, multipleStatements: true });
  try {
    const templates = await makeTables(admin, replica);
    await caughtUp(replica);
    const mean = templates.reduce((sum, { bytes }) => sum + bytes, 0) / templates.length;
    const four = templates.toSorted((a, b) => Math.abs(a.bytes - mean) - Math.abs(b.bytes - mean)).slice(0, 4);
    const few = await measured(replica, admin, four, transactions, firstKey);
    say(`backlog: 4 tables: ${describe(few)}`);
    const many = await measured(replica, admin, templates, transactions, firstKey + transactions);
    say(`backlog: ${templates.length} tables: ${describe(many)}`);
    await write(admin, templates, transactions, firstKey + 2 * transactions);
    const kills = await killedUntilCaughtUp(replica);
    say(`backlog: ${templates.length} tables: ${kills} kills`);
    const { host, port, user, password } = source;
    const compared = await compareDatabases({
      source: { host, port, user, password },
      database: replica.database,
      target: replica.targetAdminOptions,
      schema: replica.schema,
    });
    const unequal = compared.filter((table) => !isEqual(table)).length;
    const ratio = rate(many.rows, many.applyMs) / rate(few.rows, few.applyMs);
    const megabytes = Math.round(many.bytes / 1_000_000);
    return {
      lines: [
        {
          bench: 'backlog',
          what: `${transactions} transactions in 4 tables`,
          value: formatRate(rate(few.rows, few.applyMs)),
        },
        {
          bench: 'backlog',
          what: `the same in ${templates.length} tables, ${megabytes} MB of binlog`,
          value: formatRate(rate(many.rows, many.applyMs)),
        },
        bar(
          `${templates.length} tables / 4 tables`,
          `${ratio.toFixed(2)} x`,
          `>= ${bars.ratio} x`,
          ratio >= bars.ratio,
        ),
        bar(
          'oldest checkpoint meanwhile',
          `${(many.ageMs / 1_000).toFixed(1)} s`,
          `<= ${bars.ageMs / 1_000} s`,
          many.ageMs <= bars.ageMs,
        ),
        bar('most locks of a session', String(many.locks), `<= ${bars.locks}`, many.locks <= bars.locks),
        { bench: 'backlog', what: `kills in the same once more, every ${killEveryMs / 1_000} s`, value: String(kills) },
        bar(`tables that differ afterwards, of ${compared.length}`, String(unequal), '0', unequal === 0),
        {
          bench: 'backlog',
          what: 'peak resident memory of tidegate',
          value: `${Math.round(many.peakBytes / 1_000_000)} MB`,
        },
      ],
      figures: {
        transactions,
        tables: templates.length,
        four: four.map(({ table }) => table.name),
        few,
        many,
        kills,
        unequal,
      },
    };
  } finally {
    await admin.end();
    await replica.drop();
  }
}

function bar(what: string, value: string, limit: string, met: boolean) {
  return { bench: 'backlog', what, value, bar: limit, met };
}

async function makeTables(admin: Connection, replica: Replica): Promise<Template[]> {
  const file = process.env['TIDEGATE_BENCH_SCHEMA'];
  if (file === undefined)
    for (let n = 0; n < tableCount; n++)
      await admin.query(measuredTableDdl(`measured_${n}`).replace('memo text', 'memo longtext'));
  else await admin.query(await readFile(file, 'utf8'));
  await prepareRandomSession(admin);
  const random = new SeededRandom(1);
  const templates: Template[] = [];
  for (const table of await readSourceTables(admin, replica.database)) {
    const [key] = table.primaryKey;
    if (key === undefined || table.primaryKey.length > 1) continue;
    if (!/^(int|bigint)$/u.test(table.columns.find(({ name }) => name === key)?.type ?? '')) continue;
    if ((await insertRandomRows(admin, table, 1, random.fork(table.name))) === 0) continue;
    templates.push(await templateOf(admin, table, key));
  }
  return templates;
}

async function templateOf(admin: Connection, table: SourceTable, key: string): Promise<Template> {
  const others = table.columns.map(({ name }) => name).filter((name) => name !== key);
  // Padded, so that a transaction has the size of those that applications write.
  const text = table.columns.find(
    ({ name, type, charset }) => name !== key && type.endsWith('text') && charset !== undefined,
  );
  if (text !== undefined)
    await admin.query(`update ${quoteName(table.name)} set ${quoteName(text.name)} = repeat('tide ', 300)`);
  const lengths = others.map((name) => `coalesce(length(${quoteName(name)}), 0)`);
  const [[row]] = await admin.query<RowDataPacket[]>(
    `select ${quoteName(key)} as id, ${['0', ...lengths].join(' + ')} as bytes from ${quoteName(table.name)} limit 1`,
  );
  const list = others.map(quoteName).join(', ');
  const from = `${list === '' ? '' : `, ${list}`} from ${quoteName(table.name)} where ${quoteName(key)} = ${Number(row?.['id'])}`;
  const into = `insert into ${quoteName(table.name)} (${[quoteName(key), ...others.map(quoteName)].join(', ')}) select`;
  return { table, bytes: Number(row?.['bytes']), insert: (id) => `${into} ${id}${from}` };
}

interface Measured {
  readonly rows: number;
  readonly bytes: number;
  readonly applyMs: number;
  /** The longest time between two checkpoints, as far as they were seen. */
  readonly ageMs: number;
  readonly locks: number;
  readonly peakBytes: number;
  /** Of the whole run, with its start-up. */
  readonly cpuMs: number;
}

/** Writes such a backlog, and catches up with it. */
async function measured(
  replica: Replica,
  admin: Connection,
  templates: readonly Template[],
  rows: number,
  from: number,
): Promise<Measured> {
  const before = await binlogBytes(admin);
  await write(admin, templates, rows, from);
  const bytes = (await binlogBytes(admin)) - before;
  return { rows, bytes, ...(await caughtUp(replica)) };
}

/** Writes a backlog of one row a transaction, turn by turn into each table. */
async function write(admin: Connection, templates: readonly Template[], rows: number, from: number): Promise<void> {
  await admin.query('set global sync_binlog = 0, global innodb_flush_log_at_trx_commit = 2');
  for (let at = 0; at < rows; at += together) {
    const some = Array.from({ length: Math.min(together, rows - at) }, (_, n) =>
      templates[(at + n) % templates.length]?.insert(from + at + n),
    );
    await admin.query(some.join(';\n'));
  }
  await admin.query('set global sync_binlog = 1, global innodb_flush_log_at_trx_commit = 1');
}

/** Catches up with the backlog, killed again and again. Returns how often. */
async function killedUntilCaughtUp(replica: Replica): Promise<number> {
  for (let kills = 0; ; kills++) {
    const run = new MeasuredRun(replica.env, ['--until-caught-up']);
    await Promise.race([run.exited, sleep(killEveryMs)]);
    if (!run.running) {
      await run.succeeded();
      return kills;
    }
    await run.kill();
  }
}

async function binlogBytes(admin: Connection): Promise<number> {
  const [logs] = await admin.query<RowDataPacket[]>('show binary logs');
  return logs.reduce((sum, { File_size: size }) => sum + Number(size), 0);
}

async function caughtUp(replica: Replica): Promise<Omit<Measured, 'rows' | 'bytes'>> {
  const run = new MeasuredRun(replica.env, ['--until-caught-up']);
  const seen = { position: '', at: 0, ageMs: 0, locks: 0 };
  const over = new AbortController();
  const watching = (async () => {
    await run.logged('catching up').catch(() => undefined);
    for (; !over.signal.aborted; await sleep(100)) await look(replica, seen).catch(() => undefined);
  })();
  try {
    await run.succeeded();
  } finally {
    over.abort();
    await watching;
    await run.kill();
  }
  const applyMs = run.loggedAt('caught up') - run.loggedAt('catching up');
  return { applyMs, ageMs: seen.ageMs, locks: seen.locks, peakBytes: run.peakBytes, cpuMs: run.cpuMs };
}

/** Notes how old the checkpoint has become, and how many locks one session holds. */
async function look(
  { targetAdmin, schema }: Replica,
  seen: { position: string; at: number; ageMs: number; locks: number },
): Promise<void> {
  const { rows } = await targetAdmin.query<{ position: string; locks: number }>(
    `select (select file || ':' || "offset" from "tidegate_${schema}".checkpoint) as position,
            (select coalesce(max(locks), 0)::int from (select count(*) as locks from pg_locks group by pid) sessions) as locks`,
  );
  const { position = '', locks = 0 } = rows[0] ?? {};
  const now = performance.now();
  if (seen.at > 0) seen.ageMs = Math.max(seen.ageMs, now - seen.at);
  if (position !== seen.position) {
    seen.position = position;
    seen.at = now;
  }
  seen.locks = Math.max(seen.locks, locks);
}

function describe({ rows, applyMs, ageMs, locks, bytes, cpuMs }: Measured): string {
  return `${formatRate(rate(rows, applyMs))}, ${Math.round(bytes / 1_000_000)} MB, oldest checkpoint ${Math.round(ageMs)} ms, ${Math.round(cpuMs)} ms of a processor, ${locks} locks`;
}
