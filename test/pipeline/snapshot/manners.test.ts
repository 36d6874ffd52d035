import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RunProcess } from '../../../testing/run-process.ts';
import { runCli } from '../../support/cli.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import type { SourceServer } from '../../../testing/servers/server.ts';
import { startSource } from '../../../testing/servers/source.ts';
import { sharedServers } from '../../support/shared-servers.ts';

const rows = 100_000;
const engines = ['InnoDB', 'MyISAM'];
let source: SourceServer;
let replica: Replica;

beforeAll(async () => {
  // A source of its own: what other suites write would slow every snapshot down.
  source = await startSource({ flavor: 'mariadb' });
  replica = await createReplica(source, sharedServers().target);
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
  await source?.stop();
});

/** Whether a part of the table is copied, but not all of it. */
async function underWay(table: string): Promise<boolean> {
  const { rows: found } = await replica.targetAdmin.query<{ n: string }>(
    `select copied_rows as n from tidegate_raw.tables where table_name = '${table}' and state = 'snapshotting'`,
  );
  const copied = Number(found[0]?.n ?? 0);
  return copied > 0 && copied < rows;
}

async function copied(table: string): Promise<number> {
  const { rows: found } = await replica.targetAdmin.query<{ n: number }>(
    `select count(*)::int as n from raw."${table}"`,
  );
  return found[0]?.n ?? 0;
}

describe('a snapshot makes room', () => {
  test.each(engines)(
    'an ALTER TABLE of a table that is being copied gets its lock while the copy goes on (%s)',
    async (engine) => {
      await replica.resetTarget();
      const table = `visits_${engine}`;
      const admin = await replica.sourceAdmin();
      const run = new RunProcess({ ...replica.env, TABLES_INCLUDE: table });
      try {
        await run.logged('snapshot started');
        // Writes slow the snapshot down.
        for (let id = 1; !(await underWay(table)); id++)
          await admin.query(`update ${table} set note = 'x' where id = ${id}`);
        // The rename is instant, so only the wait for the lock counts: it must not last until the table is copied.
        await admin.query(`alter table ${table} rename column at to noted_at`);
        expect(await copied(table)).toBeLessThan(rows);
        const line = await run.logged('table suspended', (suspended) => suspended['table'] === table);
        expect(line['reason']).toMatch(/definition/u);
      } finally {
        await run.kill();
        await admin.query(`alter table ${table} rename column noted_at to at`);
        await admin.end();
      }
    },
  );

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
    let run = new RunProcess(env);
    try {
      await run.logged('snapshot started');
      for (let id = 1; !(await underWay('visits_InnoDB')); id++)
        await admin.query(`update visits_InnoDB set note = 'z' where id = ${id}`);
      expect(await runCli(['pause'], env)).toMatchObject({ code: 0 });
      await run.logged('paused: `tidegate resume` continues');
      const atPause = await copied('visits_InnoDB');
      expect(atPause).toBeLessThan(rows);
      // On a busy machine, `lag` may give up before it knows.
      await expect
        .poll(async () => JSON.parse((await runCli(['lag', '--json'], env)).stdout) as unknown)
        .toMatchObject({ state: 'paused' });
      await run.stop();
      run = new RunProcess(env);
      await run.logged('paused: `tidegate resume` continues');
      await sleep(1_500);
      expect(await copied('visits_InnoDB')).toBe(atPause);
      expect(await runCli(['resume'], env)).toMatchObject({ code: 0 });
      await run.logged('streaming');
      expect(await copied('visits_InnoDB')).toBe(rows);

      expect(await runCli(['pause'], env)).toMatchObject({ code: 0 });
      await sleep(2_500);
      await admin.query(`insert into visits_InnoDB values (${rows + 1}, 'while it rests', '2024-01-01')`);
      await sleep(1_500);
      expect(await copied('visits_InnoDB')).toBe(rows);
      expect(await runCli(['resume'], env)).toMatchObject({ code: 0 });
      await expect.poll(async () => await copied('visits_InnoDB')).toBe(rows + 1);
    } finally {
      await run.kill();
      await admin.query(`delete from visits_InnoDB where id > ${rows}`);
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
      expect((await replica.targetAdmin.query('select from raw."visits_InnoDB"')).rowCount).toBe(rows);
    } finally {
      await closed.kill();
    }
  });
});
