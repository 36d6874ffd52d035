import fc from 'fast-check';
import type { Connection } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compareDatabases, isEqual } from '../../testing/compare/compare.ts';
import { RunProcess } from '../../testing/run-process.ts';
import { createReplica, type Replica } from '../../testing/replica.ts';
import type { SourceServer } from '../../testing/servers/server.ts';
import { startSource } from '../../testing/servers/source.ts';
import { sharedServers } from '../support/shared-servers.ts';
import { runCli } from '../support/cli.ts';
import { allCases, casesOn } from './types/all-cases.ts';

const seed = Number(process.env['TIDEGATE_TEST_SEED'] ?? Date.now() % 1_000_000);

/** Cases whose random values can be keys: none becomes NULL or another value at the target. */
const suited: ReadonlySet<string> = new Set([
  'int_unsigned',
  'bigint_signed',
  'bigint_unsigned',
  'decimal_65_30',
  'float_column',
  'float_7_4',
  'double_column',
  'double_10_2',
  'double_12_2_zerofill',
  'char_10__latin1',
  'char_10__utf16',
  'varchar_64__sjis',
  'varbinary_64',
  'binary_16',
  'bit_33',
  'enum_300',
  'set_column',
  'date_column',
  'datetime_6',
  'timestamp_0',
  'timestamp_3',
  'time_6',
  'uuid_column',
  'inet4_column',
  'inet6_column',
]);
/** More rows than the first chunk of a snapshot. */
const keys = 1_200;

/** MySQL is tested separately because its columns cannot hold every key of the target. */
describe.each(['the shared source', 'mysql 9.7'])('each type as a key (%s)', (which) => {
  let source: SourceServer;
  let keyTypes: readonly string[];
  let replica: Replica;
  let admin: Connection;

  beforeAll(async () => {
    const { target } = sharedServers();
    source = which === 'mysql 9.7' ? await startSource({ flavor: 'mysql', version: '9.7' }) : sharedServers().source;
    keyTypes = casesOn(source)
      .map(({ name }) => name)
      .filter((name) => suited.has(name));
    replica = await createReplica(source, target);
    admin = await replica.sourceAdmin();
    await admin.query(`set sql_mode = '', time_zone = '+00:00'`);
    for (const name of keyTypes) {
      const one = allCases.find((candidate) => candidate.name === name);
      if (one?.random === undefined) throw new Error(`no case ${name} with random values`);
      const column = one.column.replace(/ null$/, '');
      // Without a default, servers before MySQL 8.0 and MariaDB 10.10 set a timestamp at each update.
      const fixed = column.startsWith('timestamp') ? `default '2000-01-01'` : '';
      await admin.query(`create table ${name} (v ${column} not null ${fixed} primary key, n int) engine=InnoDB`);
      const values = fc.sample(one.random, { seed, numRuns: keys }).map((value, n) => `(${value}, ${n})`);
      await admin.query(`insert ignore into ${name} values ${values.join(', ')}`);
    }
  });

  afterAll(async () => {
    admin?.destroy();
    await replica?.drop();
    await source?.stop();
  });

  async function expectEqual(): Promise<void> {
    await new RunProcess(replica.env, ['--until-caught-up']).succeeded();
    const { host, port, user, password } = source;
    const compared = await compareDatabases({
      source: { host, port, user, password },
      database: replica.database,
      target: replica.targetAdminOptions,
      schema: replica.schema,
    });
    expect(compared.length).toBe(keyTypes.length);
    expect(
      compared.filter((table) => !isEqual(table)),
      `seed ${seed}`,
    ).toEqual([]);
  }

  test('limits the chunks of a snapshot', expectEqual);

  test('finds the rows that are updated, deleted or given another key', async () => {
    for (const name of keyTypes) {
      await admin.query(`update ${name} set n = n + 10000 where n % 3 = 0`);
      await admin.query(`delete from ${name} where n % 3 = 1`);
    }
    await admin.query(`update ignore int_unsigned set v = v ^ 1 where n % 2 = 0`);
    if (keyTypes.includes('uuid_column')) await admin.query(`update ignore uuid_column set v = uuid() where n % 2 = 0`);
    await admin.query(`update ignore binary_16 set v = concat('x', v) where n % 2 = 0`);
    await expectEqual();
  });

  test('finds the source rows that differ at the target, and deletes the rows that only the target has', async () => {
    await admin.query('set session sql_log_bin = 0');
    for (const name of keyTypes) {
      await replica.targetAdmin.query(`update raw."${name}" set n = 999999 where n % 2 = 0`);
      await admin.query(`delete from ${name} where n % 5 = 0`);
    }
    await admin.query('set session sql_log_bin = 1');
    // Values that another writer may have left at the target and that the source cannot even express.
    for (const [name, value] of [
      ['double_column', 'NaN'],
      ['float_column', 'Infinity'],
      ['enum_300', 'nonsense'],
      ['set_column', '{nonsense}'],
      ['date_column', 'infinity'],
      ['datetime_6', '0044-03-15 BC'],
      ['inet4_column', '10.0.0.0/8'],
      ['char_10__latin1', '€ 漢字 \u{1F600}'],
    ] as const)
      if (keyTypes.includes(name))
        await replica.targetAdmin.query(`insert into raw."${name}" values ($1, 999999)`, [value]);
    const part = await runCli(['backfill', ...keyTypes, '--where', 'n = 999999'], replica.env);
    expect(part.code, part.stdout + part.stderr).toBe(0);
    const { rows } = await replica.targetAdmin.query(
      keyTypes.map((name) => `select '${name}' from raw."${name}" where n = 999999`).join(' union all '),
    );
    expect(rows).toEqual([]);
    const all = await runCli(['backfill', '--all'], replica.env);
    expect(all.code, all.stdout + all.stderr).toBe(0);
    await expectEqual();
  });
});
