import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RowDataPacket } from 'mysql2/promise';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { RunProcess } from '../../../testing/run-process.ts';
import type { SourceServer } from '../../../testing/servers/server.ts';
import { startSource } from '../../../testing/servers/source.ts';
import type { TableSchema } from '../../../src/definition/table-schema.ts';
import { readCondition } from '../../../src/pipeline/jobs/where-condition.ts';
import { conditionFunctions } from '../../../src/mysql/guard/statement-guard.ts';
import { sharedServers } from '../../support/shared-servers.ts';

/** Conditions by the function that they test; each must match the same rows at both ends, some but not all. */
const tried: Readonly<Record<string, readonly string[]>> = {
  ABS: ['abs(whole) = 3', 'abs(amount) > 2.4', 'abs(rate) < 2', 'abs(big) > 9'],
  CEIL: ['ceil(amount) = 3', 'ceil(rate) = -2', 'ceil(whole) = -3'],
  CEILING: ['ceiling(amount) = 3', 'ceiling(rate) = -2'],
  FLOOR: ['floor(amount) = -3', 'floor(rate) = 2', 'floor(whole) = -3'],
  ROUND: [
    'round(amount) = 3',
    'round(amount, 1) = 1.5',
    'round(rate) = -2',
    'round(rate) = 4',
    'round(whole, -1) = 10',
  ],
  SIGN: ['sign(whole) = -1', 'sign(amount) = 1', 'sign(rate) = 0'],
  COALESCE: ['coalesce(whole, 0) = 0', `coalesce(name, narrow) = 'Ära'`, `coalesce(day, '2000-01-01') < '2001-01-01'`],
  NULLIF: ['nullif(whole, 3) is null', `nullif(name, '') is null`],
  LOWER: [`lower(name) = 'ära'`, `lower(narrow) like 'é%'`, `lower(fixed) = 'ab'`],
  UPPER: [`upper(name) = 'ÄRA'`, `upper(narrow) = 'ÉTÉ'`, `upper(fixed) = 'AB'`],
  TRIM: [`trim(name) = 'x'`, `char_length(trim(name)) = 1`],
  LTRIM: [`char_length(ltrim(name)) = 3`],
  RTRIM: [`char_length(rtrim(name)) = 2`],
  CHAR_LENGTH: ['char_length(name) = 3', 'char_length(narrow) = 3', 'char_length(fixed) = 2', 'char_length(name) = 0'],
  DATE: [`date(moment) = '2026-01-05'`, `date(stamp) >= '2026-01-05'`, `date(day) < '2026-01-05'`],
};

/** Functions that PostgreSQL lacks, or that behave differently there in some case. */
const others = [
  ...['mod(whole, 2)', 'truncate(amount, 1)', 'greatest(whole, 1)', 'least(whole, 1)', 'ifnull(whole, 1)'],
  ...['isnull(whole)', 'left(name, -1)', 'right(name, -1)', 'substring(name, 0)', 'substr(name, 0)', 'length(name)'],
  ...[
    'octet_length(narrow)',
    'concat(name, narrow)',
    'hex(name)',
    'crc32(name)',
    'md5(narrow)',
    'year(day)',
    'month(day)',
  ],
  ...[
    'day(day)',
    'dayofmonth(day)',
    'hour(moment)',
    'minute(moment)',
    'second(moment)',
    'last_day(day)',
    'to_days(day)',
  ],
  'datediff(day, day)',
];

const columns = ['whole', 'amount', 'rate', 'name', 'narrow', 'day', 'moment'].map((name) => ({ name }));

test('each function that a condition may call is tested', () => {
  expect(Object.keys(tried).toSorted()).toEqual([...conditionFunctions].toSorted());
});

test.each(others)('%s is refused, and not recommended', (call) => {
  const { message, hint } = refusalOf(`${call} is not null`);
  expect(message).toContain('a function that is not on the list');
  expect(hint.split(/[:,.] */)).toContain('coalesce');
  expect(hint.split(/[:,.] */)).not.toContain(call.split('(', 1)[0]);
});

function refusalOf(condition: string): { message: string; hint: string } {
  try {
    readCondition(condition, { columns } as unknown as TableSchema);
  } catch (error) {
    return error as { message: string; hint: string };
  }
  throw new Error('not refused');
}

describe.each([
  { flavor: 'mariadb', version: '10.11' },
  { flavor: 'mysql', version: '9.7' },
] as const)('between $flavor $version and PostgreSQL', (server) => {
  let source: SourceServer;
  let replica: Replica;
  let schema: TableSchema;
  let sourceIds: (where: string) => Promise<number[]>;
  let end: () => Promise<void>;

  beforeAll(async () => {
    source = await startSource(server);
    replica = await createReplica(source, sharedServers().target);
    const admin = await replica.sourceAdmin();
    end = async () => await admin.end();
    await admin.query(`set session time_zone = '+00:00', sql_mode = ''`);
    // Which letters are equal depends on the collation, not on functions, so these columns have binary collations.
    await admin.query(
      `create table cell (id int not null primary key, whole int, big bigint unsigned, amount decimal(10,3), rate double,
         name varchar(40) character set utf8mb4 collate utf8mb4_bin, narrow varchar(20) character set latin1 collate latin1_bin,
         fixed char(10) character set utf8mb4 collate utf8mb4_bin, day date, moment datetime(3), stamp timestamp null)`,
    );
    await admin.query(
      `insert into cell values
         (1, 3, 18446744073709551615, 2.5, 2.5, 'Ära', 'Été', 'aB', '2026-01-04', '2026-01-05 23:59:59.999', '2026-01-04 23:59:59'),
         (2, -3, 5, -2.5, -2.5, '  x', 'élan', 'AB  ', '2026-01-05', '2026-01-06 00:00:00', '2026-01-05 00:00:00'),
         (3, 0, 0, 0, 0, 'x  ', '', '', '1999-12-31', '2026-01-05 00:00:00', '2026-01-06 12:00:00'),
         (4, null, null, null, null, null, null, null, null, null, null),
         (5, 4, 10, 1.499, 1.5, '👋é', 'été', ' b', '2026-02-28', '2025-01-05', '2038-01-01'),
         (6, -4, 11, -0.5, -0.5, '', 'Ära', 'x', '2024-02-29', '2026-12-31', '1970-01-02'),
         (7, 5, 12, 3.5, 3.5, 'äRA', 'abc', 'ab', '2026-01-06', '2026-01-04 23:59:59.999', '2026-01-05 01:00:00'),
         (8, 1, 9, 0.001, 1e-9, null, 'Ära', 'ÄB', '2000-01-01', null, '2000-01-01')`,
    );
    sourceIds = async (where) => {
      const [rows] = await admin.query<RowDataPacket[]>(`select id from cell where (${where}) order by id`);
      return rows.map((row) => Number(row['id']));
    };
    await new RunProcess(replica.env, ['--until-caught-up']).succeeded();
    await replica.targetAdmin.query('set timezone to UTC');
    const { rows } = await replica.targetAdmin.query<{ definition: TableSchema }>(
      `select definition from tidegate_raw.schema_versions where table_name = 'cell'`,
    );
    schema = rows[0]?.definition as TableSchema;
  });
  afterAll(async () => {
    await end?.();
    await replica?.drop();
    await source?.stop();
  });

  async function targetIds(where: string): Promise<number[]> {
    const { rows } = await replica.targetAdmin.query<{ id: number }>(
      `select t.id from ${replica.schema}.cell t where ${where} order by id`,
    );
    return rows.map(({ id }) => id);
  }

  test.each(Object.values(tried).flat())('%s matches the same rows', async (condition) => {
    const { source: there, target: here } = readCondition(condition, schema);
    const ids = await sourceIds(there);
    expect(await targetIds(here)).toEqual(ids);
    expect(ids.length).toBeGreaterThan(0);
    expect(ids.length).toBeLessThan(8);
  });
});
