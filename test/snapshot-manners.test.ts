import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RunProcess } from '../sandbox/run-process.ts';
import { type Replica, createReplica } from './support/replica.ts';
import { sharedServers } from './support/shared-servers.ts';

const rows = 400_000;
const engines = ['InnoDB', 'MyISAM'];
let replica: Replica;

beforeAll(async () => {
  const { source, target } = sharedServers();
  replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  for (const engine of engines) {
    await admin.query(
      `create table visits_${engine} (id int not null primary key, note varchar(200) not null, at datetime not null) engine=${engine}`,
    );
    await admin.query(
      `insert into visits_${engine} select seq, repeat('note ', 30), '2024-01-01 10:00:00' from seq_1_to_${rows}`,
    );
  }
  await admin.end();
});

afterAll(async () => {
  await replica?.drop();
});

/** Some of the table is there and some is not. */
async function underWay(table: string): Promise<boolean> {
  const { rows: found } = await replica.targetAdmin.query<{ n: string }>(
    `select copied_rows as n from tidegate.tables where table_name = '${table}' and state = 'snapshotting'`,
  );
  const copied = Number(found[0]?.n ?? 0);
  return copied > 0 && copied < rows;
}

describe('a snapshot makes room', () => {
  test.each(engines)('an ALTER TABLE of a table that is being copied has its lock at once (%s)', async (engine) => {
    await replica.resetTarget();
    const table = `visits_${engine}`;
    const admin = await replica.sourceAdmin();
    const run = new RunProcess({ ...replica.env, TABLES_INCLUDE: table });
    try {
      await run.logged('snapshot started');
      // Somebody writes, so that the snapshot takes its time.
      for (let id = 1; !(await underWay(table)); id++)
        await admin.query(`update ${table} set note = 'x' where id = ${id}`);
      const asked = performance.now();
      // Instant, or a rename: what it waits for is the lock.
      await admin.query(`alter table ${table} rename column at to noted_at`);
      expect(performance.now() - asked).toBeLessThan(1_000);
      expect(await underWay(table)).toBe(true);
      const line = await run.logged('table parked', (parked) => parked['table'] === table);
      expect(line['reason']).toMatch(/definition/u);
    } finally {
      await run.kill();
      await admin.query(`alter table ${table} rename column noted_at to at`);
      await admin.end();
    }
  });

  test('it slows down while somebody writes, and says so', async () => {
    await replica.resetTarget();
    const admin = await replica.sourceAdmin();
    const run = new RunProcess({ ...replica.env, TABLES_INCLUDE: 'visits_MyISAM' }, ['--until-caught-up']);
    try {
      for (let id = 1; run.running; id++) {
        await admin.query(`update visits_MyISAM set note = 'y' where id = ${id}`);
        await sleep(20);
      }
      expect(run.find('snapshot at full speed: nobody else writes at the source')).toBeUndefined();
      await replica.resetTarget();
      const alone = new RunProcess({ ...replica.env, TABLES_INCLUDE: 'visits_MyISAM' }, ['--until-caught-up']);
      await alone.succeeded();
      expect(alone.find('snapshot at full speed: nobody else writes at the source')).toBeDefined();
    } finally {
      await run.kill();
      await admin.end();
    }
  });
});
