import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connection } from 'mysql2/promise';
import { compareDatabases, isEqual } from '../../testing/compare/compare.ts';
import { changeRandomRows, insertRandomRows, prepareRandomSession } from '../../testing/random/random-rows.ts';
import { RunProcess } from '../../testing/run-process.ts';
import { SeededRandom } from '../../testing/random/seeded-random.ts';
import { startSource } from '../../testing/servers/source.ts';
import type { SourceServer } from '../../testing/servers/server.ts';
import { readSourceTables, type SourceTable } from '../../testing/compare/source-columns.ts';
import { everydayTables, tableWithoutPrimaryKey } from './schemas/everyday-types.ts';
import { createReplica, type Replica } from '../../testing/replica.ts';
import { sharedServers } from '../support/shared-servers.ts';

/** A failure prints the seed; the same seed produces the same rows and changes. */
const seed = Number(process.env['TIDEGATE_TEST_SEED'] ?? Date.now() % 1_000_000);

describe.each([
  { name: 'MariaDB 10.11', own: undefined },
  { name: 'MySQL 9.7', own: { flavor: 'mysql', version: '9.7' } as const },
])('a schema of everyday types on $name', ({ own }) => {
  let source: SourceServer;
  let replica: Replica;
  let admin: Connection;
  const random = new SeededRandom(seed);

  beforeAll(async () => {
    const shared = sharedServers();
    source = own === undefined ? shared.source : await startSource(own);
    replica = await createReplica(source, shared.target);
    admin = await replica.sourceAdmin();
    for (const ddl of [...everydayTables, tableWithoutPrimaryKey]) await admin.query(ddl);
    await prepareRandomSession(admin);
  });

  afterAll(async () => {
    admin?.destroy();
    await replica?.drop();
    if (own !== undefined) await source?.stop();
  });

  async function tables(): Promise<SourceTable[]> {
    return (await readSourceTables(admin, replica.database)).filter((table) => table.primaryKey.length > 0);
  }

  async function change(count: number): Promise<void> {
    const all = await tables();
    for (let done = 0; done < count; done++) await changeRandomRows(admin, random.pick(all), random);
  }

  async function expectEqual(): Promise<void> {
    const compared = await compareDatabases({
      source: { host: source.host, port: source.port, user: source.user, password: source.password },
      database: replica.database,
      target: replica.targetAdminOptions,
      schema: replica.schema,
      tables: (await tables()).map((table) => table.name),
    });
    expect(compared.length).toBe(everydayTables.length);
    expect(
      compared.filter((table) => !isEqual(table)),
      `seed ${seed}`,
    ).toEqual([]);
  }

  test('the snapshot of random rows is equal, column by column', async () => {
    for (const table of await tables()) {
      if (table.name !== 'archived') await insertRandomRows(admin, table, 400, random);
    }
    await admin.query(`insert into audit_line values (now(), 'no key')`);
    await new RunProcess(replica.env, ['--until-caught-up']).succeeded();
    await expectEqual();
  });

  test('random changes made during a stop are equal after catching up', async () => {
    await change(800);
    await new RunProcess(replica.env, ['--until-caught-up']).succeeded();
    await expectEqual();
  });

  test('random changes made during streaming are equal', async () => {
    const run = new RunProcess(replica.env);
    try {
      await run.logged('streaming');
      await change(800);
      await run.stop();
    } finally {
      await run.kill();
    }
    await new RunProcess(replica.env, ['--until-caught-up']).succeeded();
    await expectEqual();
  });

  test('a table without a key is left out', async () => {
    const { rows } = await replica.targetAdmin.query(
      `select 1 from information_schema.tables where table_schema = $1 and table_name = 'audit_line'`,
      [replica.schema],
    );
    expect(rows).toEqual([]);
  });
});
