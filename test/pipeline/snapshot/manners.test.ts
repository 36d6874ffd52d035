import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RunProcess } from '../../../testing/run-process.ts';
import { runCli } from '../../support/cli.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { sharedServers } from '../../support/shared-servers.ts';

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

/** Whether a part of the table is copied, but not all of it. */
async function underWay(table: string): Promise<boolean> {
  const { rows: found } = await replica.targetAdmin.query<{ n: string }>(
    `select copied_rows as n from tidegate_raw.tables where table_name = '${table}' and state = 'snapshotting'`,
  );
  const copied = Number(found[0]?.n ?? 0);
  return copied > 0 && copied < rows;
}

describe('a snapshot makes room', () => {
  test.each(engines)('an ALTER TABLE of a table that is being copied gets its lock at once (%s)', async (engine) => {
    await replica.resetTarget();
    const table = `visits_${engine}`;
    const admin = await replica.sourceAdmin();
    const run = new RunProcess({ ...replica.env, TABLES_INCLUDE: table });
    try {
      await run.logged('snapshot started');
      // Writes slow the snapshot down.
      for (let id = 1; !(await underWay(table)); id++)
        await admin.query(`update ${table} set note = 'x' where id = ${id}`);
      const asked = performance.now();
      // The rename is instant, so only the wait for the lock counts.
      await admin.query(`alter table ${table} rename column at to noted_at`);
      expect(performance.now() - asked).toBeLessThan(1_000);
      expect(await underWay(table)).toBe(true);
      const line = await run.logged('table suspended', (suspended) => suspended['table'] === table);
      expect(line['reason']).toMatch(/definition/u);
    } finally {
      await run.kill();
      await admin.query(`alter table ${table} rename column noted_at to at`);
      await admin.end();
    }
  });

  test('it slows down while others write, and logs its speed', async () => {
    await replica.resetTarget();
    const admin = await replica.sourceAdmin();
    const run = new RunProcess({ ...replica.env, TABLES_INCLUDE: 'visits_MyISAM' }, ['--until-caught-up']);
    try {
      for (let id = 1; run.running; id++) {
        await admin.query(`update visits_MyISAM set note = 'y' where id = ${id}`);
        await sleep(20);
      }
      expect(run.find('snapshot at full speed: no other session writes at the source')).toBeUndefined();
      await replica.resetTarget();
      const alone = new RunProcess({ ...replica.env, TABLES_INCLUDE: 'visits_MyISAM' }, ['--until-caught-up']);
      await alone.succeeded();
      expect(alone.find('snapshot at full speed: no other session writes at the source')).toBeDefined();
    } finally {
      await run.kill();
      await admin.end();
    }
  });
});

describe('the operator decides when', () => {
  test('pause stops snapshot and stream within a chunk, also across a restart, and resume continues', async () => {
    await replica.resetTarget();
    const admin = await replica.sourceAdmin();
    const env = { ...replica.env, TABLES_INCLUDE: 'visits_InnoDB' };
    const copied = async () => {
      const { rows: found } = await replica.targetAdmin.query<{ n: string }>(
        `select count(*) as n from raw."visits_InnoDB"`,
      );
      return Number(found[0]?.n);
    };
    let run = new RunProcess(env);
    try {
      await run.logged('snapshot started');
      for (let id = 1; !(await underWay('visits_InnoDB')); id++)
        await admin.query(`update visits_InnoDB set note = 'z' where id = ${id}`);
      expect(await runCli(['pause'], env)).toMatchObject({ code: 0 });
      await run.logged('paused: `tidegate resume` continues');
      const atPause = await copied();
      expect(atPause).toBeLessThan(rows);
      expect(JSON.parse((await runCli(['lag', '--json'], env)).stdout)).toMatchObject({ state: 'paused' });
      await run.stop();
      run = new RunProcess(env);
      await run.logged('paused: `tidegate resume` continues');
      await sleep(1_500);
      expect(await copied()).toBe(atPause);
      expect(await runCli(['resume'], env)).toMatchObject({ code: 0 });
      await run.logged('streaming');
      expect(await copied()).toBe(rows);

      expect(await runCli(['pause'], env)).toMatchObject({ code: 0 });
      await sleep(2_500);
      await admin.query(`insert into visits_InnoDB values (${rows + 1}, 'while it rests', '2024-01-01')`);
      await sleep(1_500);
      expect(await copied()).toBe(rows);
      expect(await runCli(['resume'], env)).toMatchObject({ code: 0 });
      for (let tries = 0; tries < 100 && (await copied()) === rows; tries++) await sleep(100);
      expect(await copied()).toBe(rows + 1);
    } finally {
      await run.kill();
      await admin.end();
    }
  });

  test('outside SNAPSHOT_WINDOW no row is read', async () => {
    await replica.resetTarget();
    const hour = new Date().getUTCHours();
    const two = (number: number) => String(number % 24).padStart(2, '0');
    const env = { ...replica.env, TABLES_INCLUDE: 'visits_InnoDB' };
    const closed = new RunProcess({ ...env, SNAPSHOT_WINDOW: `${two(hour + 2)}:00-${two(hour + 3)}:00 UTC` });
    try {
      await closed.logged('snapshot waits for SNAPSHOT_WINDOW');
      await sleep(1_000);
      expect((await replica.targetAdmin.query('select from raw."visits_InnoDB"')).rowCount).toBe(0);
      await closed.stop();
      const open = new RunProcess({ ...env, SNAPSHOT_WINDOW: `${two(hour + 23)}:00-${two(hour + 2)}:00 UTC` }, [
        '--until-caught-up',
      ]);
      await open.succeeded();
      expect((await replica.targetAdmin.query('select from raw."visits_InnoDB"')).rowCount).toBe(rows + 1);
    } finally {
      await closed.kill();
    }
  });
});
