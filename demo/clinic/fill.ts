import type { Connection } from 'mysql2/promise';
import { SeededRandom } from '../../testing/random/seeded-random.ts';
import { moneyRows } from './money.ts';
import { officeRows } from './office.ts';
import type { Value } from './row-maker.ts';
import { clinicTables } from './schema.ts';
import { visitRows } from './visits.ts';
import { today } from './words.ts';

const rowsPerInsert = 1000;

/** Session settings of the clinic's software: every date is accepted, and too long text is truncated. */
export async function prepareClinicSession(connection: Connection): Promise<void> {
  await connection.query('set names utf8mb4');
  await connection.query("set session sql_mode = '', time_zone = '+00:00'");
}

/**
 * Creates the clinic's tables in the connection's database and fills them with the rows of `seed`, about 58,000 at scale 1. A
 * scale below 1 makes fewer rows of the larger tables. Returns the number of rows.
 */
export async function fillClinic(connection: Connection, seed: number, scale = 1): Promise<number> {
  await prepareClinicSession(connection);
  for (const statement of clinicTables) await connection.query(statement);
  // Columns with automatic timestamps get the same instant in every fill.
  await connection.query('set timestamp = ?', [today / 1000]);
  const random = new SeededRandom(seed);
  let filled = 0;
  for (const [table, maker] of Object.entries({ ...visitRows, ...moneyRows, ...officeRows })) {
    const own = random.fork(table);
    const rows = maker.rows > 300 ? Math.max(1, Math.round(maker.rows * scale)) : maker.rows;
    for (let next = 1; next <= rows;) {
      let columns: string[] = [];
      const batch: Value[][] = [];
      while (next <= rows && batch.length < rowsPerInsert) {
        const row = maker.row(own, next++);
        columns = Object.keys(row);
        batch.push(Object.values(row));
      }
      await connection.query(`insert into ${table} (${columns.join(', ')}) values ?`, [batch]);
      filled += batch.length;
    }
  }
  await connection.query('set timestamp = default');
  return filled;
}
