import type { Connection, ResultSetHeader } from 'mysql2/promise';
import { randomValue } from './random-values.ts';
import type { SeededRandom } from './seeded-random.ts';
import { quoteName, type SourceColumn, type SourceTable } from '../compare/source-columns.ts';

/** Session settings that the random values need: legal zero dates, 0 as a key value, and times in UTC. */
export async function prepareRandomSession(connection: Connection): Promise<void> {
  await connection.query(`set names utf8mb4`);
  await connection.query(
    `set session sql_mode = 'NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00', foreign_key_checks = 0`,
  );
}

/**
 * Adds up to `count` random rows to a table and returns how many were inserted. The server drops a row whose random key already
 * exists (`insert ignore`). A narrow key may have fewer values than the requested rows.
 */
export async function insertRandomRows(
  connection: Connection,
  table: SourceTable,
  count: number,
  random: SeededRandom,
  firstKey = 1,
): Promise<number> {
  const names = table.columns.map((column) => quoteName(column.name)).join(', ');
  let inserted = 0;
  let next = firstKey;
  for (let tries = 0; inserted < count && tries < 4; tries++) {
    for (let left = count - inserted; left > 0; left -= 500) {
      const rows = Array.from(
        { length: Math.min(left, 500) },
        () => `(${randomRow(table, random, next++).join(', ')})`,
      );
      const [result] = await connection.query<ResultSetHeader>(
        `insert ignore into ${quoteName(table.name)} (${names}) values ${rows.join(', ')}`,
      );
      inserted += result.affectedRows;
    }
  }
  return inserted;
}

/**
 * Makes one random change: insert, replace, update, delete or key change of a few rows. Returns a description of it for the log.
 */
export async function changeRandomRows(
  connection: Connection,
  table: SourceTable,
  random: SeededRandom,
): Promise<string> {
  const name = quoteName(table.name);
  const kind = random.pick([
    'insert',
    'insert',
    'replace',
    'update',
    'update',
    'update',
    'delete',
    'key change',
  ] as const);
  const rows = `order by rand(${random.int(0, 1_000_000)}) limit ${random.chance(0.2) ? random.int(2, 20) : 1}`;
  switch (kind) {
    case 'insert':
      await insertRandomRows(connection, table, random.int(1, 5), random, random.int(-500, 60_000));
      break;
    case 'replace': {
      const values = randomRow(table, random, random.int(1, 200));
      await connection.query(
        `replace into ${name} (${table.columns.map((column) => quoteName(column.name)).join(', ')}) values (${values.join(', ')})`,
      );
      break;
    }
    case 'update': {
      const others = table.columns.filter((column) => !table.primaryKey.includes(column.name));
      if (others.length === 0) return 'nothing';
      const chosen = others.filter(() => random.chance(0.4));
      const set = (chosen.length === 0 ? [random.pick(others)] : chosen).map(
        (column) => `${quoteName(column.name)} = ${randomValue(column, random)}`,
      );
      await connection.query(`update ignore ${name} set ${set.join(', ')} ${rows}`);
      break;
    }
    case 'delete':
      await connection.query(`delete from ${name} ${rows}`);
      break;
    case 'key change': {
      const column = table.columns.find((column) => column.name === table.primaryKey[0]);
      if (column === undefined) return 'nothing';
      const value = keyValue(column, random, random.int(1, 60_000));
      await connection.query(`update ignore ${name} set ${quoteName(column.name)} = ${value} ${rows}`);
      break;
    }
  }
  return `${kind} ${table.name}`;
}

/** Values of one row in column order. A single integer key counts up from `next`, with a few boundary values in between. */
function randomRow(table: SourceTable, random: SeededRandom, next: number): string[] {
  const counted = table.primaryKey.length === 1 ? table.primaryKey[0] : undefined;
  return table.columns.map((column) => {
    if (column.name === counted) return keyValue(column, random, next);
    return table.primaryKey.includes(column.name) ? freeKeyValue(column, random) : randomValue(column, random);
  });
}

function keyValue(column: SourceColumn, random: SeededRandom, next: number): string {
  const capacity: Readonly<Record<string, number>> = {
    smallint: 32_767,
    mediumint: 8_388_607,
    int: 2 ** 31,
    bigint: 2 ** 53,
  };
  const most = capacity[column.type];
  // A number of zero or less would become the zero date in a date column.
  if (most === undefined || next > most || random.chance(0.02)) return freeKeyValue(column, random);
  return String(next > 0 || !/unsigned/iu.test(column.fullType) ? next : 1 - next);
}

/**
 * A key value that the target can hold as a key. A zero date would become NULL there. Two keys that differ only in U+0000 would
 * become equal.
 */
function freeKeyValue(column: SourceColumn, random: SeededRandom): string {
  for (;;) {
    const value = randomValue({ ...column, nullable: false }, random);
    if (!/-00|\\0/u.test(value)) return value;
  }
}
