import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from 'mysql2/promise';
import type { SeededRandom } from '../../../testing/random/seeded-random.ts';
import { type AskedJob, backfillOf, verificationOf } from '../jobs.ts';

/** The tables keep their size, so that what the service holds does not depend on the time of day. */
const rows = 400;
export const keyed = ['visit', 'patient', 'code', 'claim', 'note', 'aging'] as const;
export const keyless = 'keyless';

export async function createTables(admin: Connection): Promise<void> {
  for (const table of keyed) {
    const key = table === 'code' ? 'id varchar(12) character set utf8mb4 not null' : 'id int not null';
    const engine = table === 'note' ? 'MyISAM' : 'InnoDB';
    await admin.query(`create table ${table} (${key} primary key, n int, body varchar(200)) engine=${engine}`);
    await admin.query(`insert into ${table} values ${list((id) => `('${id}', 0, 'body ${id}')`)}`);
  }
  await admin.query(`create table ${keyless} (n int, body varchar(200)) engine=InnoDB`);
  await admin.query(`insert into ${keyless} values ${list((id) => `(${id}, 'body ${id}')`)}`);
}

function list(row: (id: number) => string): string {
  return Array.from({ length: rows }, (_, id) => row(id)).join(', ');
}

/** Changes rows again and again, without adding to their number for long. */
export async function write(session: Connection, random: SeededRandom, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const table = random.pick(keyed);
    const id = random.int(0, rows - 1);
    const count = random.chance(0.02) ? 150 : 1;
    await session.query(
      random.pick([
        `replace into ${table} values ('${id}', ${random.int(0, 999)}, 'new')`,
        `update ${table} set n = n + 1, body = repeat('x', ${random.int(0, 150)}) where id between '${id}' and '${id + count}'`,
        `delete from ${table} where id = '${id}'`,
        `update ${keyless} set body = concat('changed ', ${id}) where n = ${id}`,
      ]),
    );
    await sleep(random.int(0, 60));
  }
}

/** Jobs of all kinds for three tables. */
export function askedJobs(random: SeededRandom): AskedJob[] {
  const [first, second] = random.chance(0.5) ? ([0, 3] as const) : ([3, 0] as const);
  const table = keyed[first + random.int(0, 2)] ?? 'visit';
  const other = keyed[second + random.int(0, 2)] ?? 'aging';
  return [
    random.pick([backfillOf(table), backfillOf(table, 'n % 2 = 0'), verificationOf(table)]),
    random.pick([backfillOf(other), verificationOf(other), verificationOf(other, true)]),
    backfillOf(keyless),
  ];
}
