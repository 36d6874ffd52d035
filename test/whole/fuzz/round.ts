import type { Connection } from 'mysql2/promise';
import { compareDatabases, isEqual } from '../../../testing/compare/compare.ts';
import { changeRandomRows, insertRandomRows, prepareRandomSession } from '../../../testing/random/random-rows.ts';
import { randomValue } from '../../../testing/random/random-values.ts';
import { RunProcess } from '../../../testing/run-process.ts';
import { SeededRandom } from '../../../testing/random/seeded-random.ts';
import type { SourceServer, TargetServer } from '../../../testing/servers/server.ts';

import { type SourceTable, quoteName, readSourceTables } from '../../../testing/compare/source-columns.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { randomTable, randomTableName } from './random-tables.ts';

export interface FuzzRound {
  readonly tables: number;
  /** The number of rows that the snapshot copied, and of row changes that the stream applied. */
  readonly snapshotRows: number;
  readonly streamRows: number;
  /** The number of rows at the source at the end; each was compared. */
  readonly compared: number;
  /** Table, kind of difference, key and columns, and no other value. */
  readonly differences: readonly string[];
}

export interface FuzzOptions {
  readonly seed: number;
  readonly tables: number;
  /** Rows of each table before the snapshot. */
  readonly rows: number;
  /** How long random writers run, from the start of the snapshot. */
  readonly seconds: number;
  readonly writers: number;
}

/** Error numbers of deadlocks, lock waits, and rollbacks by the server. */
const passing = new Set([1205, 1213, 1020]);

/** Creates random tables and rows, runs random writers during snapshot and stream, then compares every row of both ends. */
export async function fuzzRound(source: SourceServer, target: TargetServer, options: FuzzOptions): Promise<FuzzRound> {
  const random = new SeededRandom(options.seed);
  const replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  try {
    await prepareRandomSession(admin);
    for (let index = 0; index < options.tables; index++)
      await admin.query(randomTable(source, randomTableName(index, random), random));
    const tables = await readSourceTables(admin, replica.database);
    for (const table of tables) await insertRandomRows(admin, table, options.rows, random);
    const first = new RunProcess(replica.env);
    try {
      await first.logged('snapshot started');
      const deadline = Date.now() + options.seconds * 1000;
      await Promise.all([
        first.logged('streaming'),
        ...Array.from(
          { length: options.writers },
          async (_, index) => await writer(replica, source, tables, random.fork(`writer ${index}`), deadline),
        ),
      ]);
      await first.stop();
    } finally {
      await first.kill();
    }
    const second = new RunProcess(replica.env, ['--until-caught-up']);
    await second.succeeded();
    const { compared, differences } = await judge(source, replica, [first, second]);
    return {
      tables: tables.length,
      snapshotRows: sum(first, 'table copied'),
      streamRows: sum(first, 'stopped') + sum(second, 'caught up'),
      compared,
      differences,
    };
  } finally {
    admin.destroy();
    await replica.drop();
  }
}

function sum(run: RunProcess, msg: string): number {
  return run.lines.filter((line) => line.msg === msg).reduce((total, line) => total + Number(line['rows']), 0);
}

async function judge(
  source: SourceServer,
  replica: Replica,
  runs: readonly RunProcess[],
): Promise<{ compared: number; differences: string[] }> {
  const differences = runs.flatMap((run) =>
    run.lines
      .filter(({ msg }) => msg === 'table suspended' || msg === 'table left out' || msg === 'rows became dead letters')
      .map(
        (line) => `${line.msg}: ${String(line['table'])}: ${String(line['reason'] ?? line['reasons'] ?? line['rows'])}`,
      ),
  );
  const compared = await compareDatabases({
    source: { host: source.host, port: source.port, user: source.user, password: source.password },
    database: replica.database,
    target: replica.targetAdminOptions,
    schema: replica.schema,
  });
  for (const table of compared)
    if (!isEqual(table))
      differences.push(
        `${table.table}: ${table.missing} missing, ${table.extra} extra, ${table.different} different: ${table.examples.join('; ')}`,
      );
  return { compared: compared.reduce((total, { sourceRows }) => total + sourceRows, 0), differences };
}

/** Changes rows until the deadline, in transactions of any size; some are rolled back. */
async function writer(
  replica: Replica,
  source: SourceServer,
  tables: readonly SourceTable[],
  random: SeededRandom,
  deadline: number,
): Promise<void> {
  const session = await replica.sourceAdmin();
  try {
    await prepareRandomSession(session);
    // The session's zone determines the meaning of a timestamp literal; it must not change the copied value.
    await session.query(`set session time_zone = '${random.pick(['+00:00', '-07:00', '+05:45'])}'`);
    if (source.flavor === 'mariadb') await session.query('set session innodb_lock_wait_timeout = 2');
    // A rollback suspends a table without transactions that takes part in it, so a transaction never mixes engines.
    const groups = [...Map.groupBy(tables, ({ engine }) => engine).values()];
    while (Date.now() < deadline) {
      const group = random.pick(groups);
      try {
        await transaction(session, group, random);
      } catch (error) {
        if (!passing.has((error as { errno?: number }).errno ?? 0)) throw error;
        await session.query('rollback');
      }
    }
  } finally {
    session.destroy();
  }
}

async function transaction(session: Connection, group: readonly SourceTable[], random: SeededRandom): Promise<void> {
  const undoable = group[0]?.engine.toLowerCase() === 'innodb';
  const table = () => random.pick(group);
  if (random.chance(0.3)) return await bulk(session, table(), random);
  if (random.chance(0.01)) {
    await session.query(`truncate table ${quoteName(table().name)}`);
    return;
  }
  if (undoable) await session.query('begin');
  for (let left = random.int(1, 12); left > 0; left--) await changeRandomRows(session, table(), random);
  if (undoable && random.chance(0.2)) {
    await session.query('savepoint half');
    await changeRandomRows(session, table(), random);
    await session.query('rollback to savepoint half');
  }
  if (undoable) await session.query(random.chance(0.1) ? 'rollback' : 'commit');
}

/** Changes many rows in one statement. */
async function bulk(session: Connection, table: SourceTable, random: SeededRandom): Promise<void> {
  if (random.chance(0.5)) {
    await insertRandomRows(session, table, random.int(50, 1_500), random, random.int(1, 1_000_000));
    return;
  }
  const others = table.columns.filter(({ name }) => !table.primaryKey.includes(name));
  const chosen = others.filter(() => random.chance(0.3));
  const set = (chosen.length === 0 ? others.slice(0, 1) : chosen).map(
    (column) => `${quoteName(column.name)} = ${randomValue(column, random)}`,
  );
  if (set.length > 0)
    await session.query(`update ignore ${quoteName(table.name)} set ${set.join(', ')} limit ${random.int(100, 4_000)}`);
}
