import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RunProcess } from '../../../testing/run-process.ts';
import { startSource } from '../../../testing/servers/source.ts';
import type { SourceServer } from '../../../testing/servers/server.ts';
import type { Finding } from '../../../src/errors/finding.ts';
import { runCli } from '../../support/cli.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { sharedServers } from '../../support/shared-servers.ts';
import { statementsIn } from '../../whole/remedies/remedy.ts';

describe.each(['mariadb', 'mysql'] as const)('MyISAM tables that crashed (%s)', (flavor) => {
  /** A server with accessible files. */
  let source: SourceServer;
  let replica: Replica;

  beforeAll(async () => {
    source = await startSource({ flavor, asProcess: true });
    replica = await createReplica(source, sharedServers().target);
    const admin = await replica.sourceAdmin();
    for (const table of ['intact', 'rows_crashed', 'index_crashed', 'unopenable']) {
      await admin.query(`create table ${table} (id int not null primary key, note varchar(200)) engine=MyISAM`);
      const rows = Array.from({ length: 2000 }, (_, id) => `(${id}, repeat('x', ${id % 150}))`);
      await admin.query(`insert into ${table} values ${rows.join(', ')}`);
    }
    await admin.query('flush tables');
    const [[row]] = await admin.query<RowDataPacket[]>('select @@datadir as folder');
    await admin.end();
    const file = (name: string) => join(String(row?.['folder']), replica.database, name);
    await overwrite(file('rows_crashed.MYD'), (await stat(file('rows_crashed.MYD'))).size / 3, 500);
    await overwrite(file('index_crashed.MYI'), 1024, 3000);
    // The header holds the open count and whether the table is crashed.
    await overwrite(file('unopenable.MYI'), 24, 4);
  });

  afterAll(async () => {
    await replica?.drop();
    await source?.stop();
  });

  test('are left to an administrator with instructions to repair them, and the others are copied', async () => {
    const { stdout } = await runCli(['check'], replica.env);
    expect(stdout).not.toContain('alter table');
    const run = new RunProcess(replica.env, ['--until-caught-up']);
    await run.succeeded();
    expect(run.find('table copied', ({ table }) => table === 'intact')).toMatchObject({ rows: 2000 });
    for (const name of ['rows_crashed', 'index_crashed', 'unopenable']) {
      const line = run.lines.find(({ msg, table }) => table === name && /suspended|left out/.test(msg));
      expect(JSON.stringify(line)).toContain('repair table');
    }
    expect(run.tail(100)).not.toContain('definition changed');
  });

  test('are not mistaken for changed tables when the service restarts', async () => {
    const run = new RunProcess(replica.env, ['--until-caught-up']);
    await run.succeeded();
    const { rows } = await replica.targetAdmin.query<{ table_name: string; state: string; reason: string | null }>(
      'select table_name, state, reason from tidegate_raw.tables',
    );
    const states = new Map(rows.map(({ table_name, state, reason }) => [table_name, `${state} ${reason}`]));
    expect(states.get('intact')).toContain('streaming');
    expect(states.get('rows_crashed')).toMatch(/^suspended .*repair table/);
    expect(states.get('index_crashed')).toMatch(/^suspended .*repair table/);
  });

  test('return after the statement and the command that are printed', async () => {
    const { stdout } = await runCli(['check', '--json'], replica.env);
    const { findings } = JSON.parse(stdout) as { findings: Finding[] };
    const admin = await replica.sourceAdmin();
    const run = new RunProcess(replica.env);
    try {
      await run.logged('streaming');
      for (const { subject, message, remedy = '' } of findings.filter(({ message }) => message.includes('damaged'))) {
        const [repair, ...more] = statementsIn(message);
        expect([subject, more]).toEqual([expect.stringContaining('table'), []]);
        await admin.query(repair ?? '');
        // One that was never copied returns by itself.
        const [, retry] = /to try now: tidegate (backfill \w+)/.exec(remedy) ?? [];
        if (retry !== undefined) await runCli(retry.split(' '), replica.env);
      }
      const states = async () =>
        (await replica.targetAdmin.query('select table_name, state from tidegate_raw.tables order by 1')).rows;
      await expect.poll(states, { timeout: 90_000 }).toEqual(
        ['index_crashed', 'intact', 'rows_crashed', 'unopenable'].map((name) => ({
          table_name: name,
          state: 'streaming',
        })),
      );
      await run.stop();
    } finally {
      await admin.end();
      await run.kill();
    }
  });
});

async function overwrite(file: string, at: number, length: number): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.write(Buffer.alloc(length, 0xff), 0, length, Math.floor(at));
  } finally {
    await handle.close();
  }
}
