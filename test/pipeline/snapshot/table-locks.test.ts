import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { RunProcess } from '../../../testing/run-process.ts';
import { runCli } from '../../support/cli.ts';
import { sharedServers } from '../../support/shared-servers.ts';

const engines = ['InnoDB', 'MyISAM'] as const;
/** Quick rows let the chunks grow; the slow rows after them each take the source a while. */
const rows = { quick: 50_000, slow: 24_000 };
const slowness = 80_000;
let replica: Replica;
let admin: Connection;

beforeAll(async () => {
  const { source, target } = sharedServers();
  replica = await createReplica(source, target);
  admin = await replica.sourceAdmin();
  // The binlog's images would contain the slow column, so the source would compute it here, too.
  await admin.query('set session sql_log_bin = 0');
  for (const engine of engines) {
    for (const key of [', primary key (id)', '']) {
      const table = `${key === '' ? 'keyless' : 'keyed'}_${engine}`;
      await admin.query(
        `create table ${table} (id int not null, work int not null, done char(32) as (md5(repeat('x', work))) virtual${key}) engine=${engine}`,
      );
      await admin.query(
        `insert into ${table} (id, work) select seq, if(seq > ${rows.quick}, ${slowness}, 0) from seq_1_to_${rows.quick + rows.slow}`,
      );
    }
  }
});

afterAll(async () => {
  await admin?.end();
  await replica?.drop();
});

/** The time in milliseconds that the source needs to read an entire table at once. All have the same rows. */
async function readingTime(table: string): Promise<number> {
  const began = performance.now();
  await admin.query(`select count(done) from ${table}`);
  return performance.now() - began;
}

/** The longest wait for the table lock that an ALTER needs, requested again and again meanwhile. */
async function longestWait(table: string, meanwhile: Promise<unknown>): Promise<number> {
  const ended = new AbortController();
  const over = meanwhile.finally(() => ended.abort());
  over.catch(() => undefined);
  let longest = 0;
  while (!ended.signal.aborted) {
    const asked = performance.now();
    await admin.query(`lock tables ${table} write`);
    longest = Math.max(longest, performance.now() - asked);
    await admin.query('unlock tables');
    await sleep(10);
  }
  await over;
  return longest;
}

async function copied(table: string): Promise<number> {
  const { rows: found } = await replica.targetAdmin.query<{ n: string }>(`select count(*) as n from raw."${table}"`);
  return Number(found[0]?.n);
}

describe.each(engines)(
  'a session that waits for a table waits at most for one chunk, even if its rows become slow (%s)',
  (engine) => {
    let alone: number;

    beforeAll(async () => {
      alone = await readingTime(`keyed_${engine}`);
    });

    test('during a snapshot, and during a verification', async () => {
      const table = `keyed_${engine}`;
      await replica.resetTarget();
      const env = { ...replica.env, TABLES_INCLUDE: table };
      const run = new RunProcess(env);
      try {
        expect(await longestWait(table, run.logged('streaming'))).toBeLessThan(alone / 3);
        expect(await copied(table)).toBe(rows.quick + rows.slow);
        const verified = runCli(['verify', '--json'], env);
        expect(await longestWait(table, verified)).toBeLessThan(alone / 3);
        const { code, stdout } = await verified;
        expect(JSON.parse(stdout)).toMatchObject({ tables: [{ counts: { rows: rows.quick + rows.slow } }] });
        expect(code).toBe(0);
      } finally {
        await run.kill();
      }
    });

    test('the read of an entire table without a key is given up when it takes too long', async () => {
      const table = `keyless_${engine}`;
      await replica.resetTarget();
      const run = new RunProcess({ ...replica.env, TABLES_INCLUDE: table, TABLES_REFRESH: table });
      try {
        const failed = run.logged('job failed');
        expect(await longestWait(table, failed)).toBeLessThan(alone / 2);
        expect((await failed)['reason']).toMatch(/too long/);
        const [sessions] = await admin.query<RowDataPacket[]>(
          `select 1 from information_schema.processlist where info like 'select%${table}%' and user = ?`,
          [replica.env['SOURCE_DB_READONLY_USER']],
        );
        expect(sessions).toEqual([]);
      } finally {
        await run.kill();
      }
    });
  },
);
