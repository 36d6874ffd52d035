import mysql, { type Connection, type RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/load-config.ts';
import { Scope } from '../../../src/lifetime/scope.ts';
import { readColumns } from '../../../src/mysql/catalog/catalog.ts';
import { SourceConnection } from '../../../src/mysql/connection.ts';
import { SeededRandom } from '../../../testing/random/seeded-random.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import type { SourceServer } from '../../../testing/servers/server.ts';
import { startSource } from '../../../testing/servers/source.ts';
import { sharedServers } from '../../support/shared-servers.ts';

/** A column of each kind that expressions treat in a way of its own. */
const columns: Readonly<Record<string, string>> = {
  ...{ n: 'int', u: 'int unsigned', d: 'decimal(20,6)', f: 'double', y: 'year', bi: 'bit(8)' },
  ...{
    s: 'varchar(40) character set utf8mb4',
    l: 'varchar(40) character set latin1',
    c: 'char(10)',
    e: `enum('a','B')`,
  },
  ...{ b: 'varbinary(40)', j: 'json', da: 'date', dt: 'datetime(3)', ti: 'time', ts: 'timestamp(3) null' },
};
const names = Object.keys(columns);
const rows = [
  `1, 1, 2, 1.5, 2.5, 2024, 3, 'Abc', 'Abc', 'Abc', 'a', 'Abc', '{"a": "2024-02-03 01:02:03", "b": [1, 2]}', '2024-01-07', '2024-01-07 23:30:00.999', '23:30:00', '2024-01-07 23:30:00.999'`,
  `2, -7, 5, -3.333333, 1e20, 1999, 255, '2024-02-30', '12', '10', 'B', '12', '[1, 2, 3]', '2024-12-31', '2024-12-31 22:00:00', '-10:00:00', '2024-12-31 22:00:00'`,
  `3, 0, 0, 0, 0, 0, 0, '', '', '', null, '', '"x"', '0000-00-00', '0000-00-00', '00:00:00', null`,
  `4${', null'.repeat(names.length)}`,
  `5, 3, 4000000000, 100, 0.1, 2155, 128, 'März é', 'é', 'b', 'a', x'ff00', '{"k": 1.5}', '2023-00-15', '2020-02-29 12:00:00.5', '838:59:59', '2020-02-29 12:00:00.5'`,
  `6, 10, 20, 3, 7, 2010, 1, '2024-03-04 05:06:07', '1e2', '2024-01-01', 'B', '2024-01-01', '10', '2010-06-15', '2010-06-15 00:00:00', '12:34:56', '2010-06-15 00:00:00'`,
  `7, 20240230, 3, 2, 20240230, 2024, 7, '12:00', 'B', 'abc', 'a', 'abc', 'null', '2024-02-30', '2024-06-30 23:59:59.999', '01:02:03', '2024-06-30 23:59:59'`,
];
const literals = [
  ...["'a'", "'ABC'", "'$.a'", "'1.5'", "'+05:00'", "'%W %M %b'", "'%Y-%m-%d'", "'%d,%m,%Y'"],
  ...["'2024-01-02'", "'2024-02-30'", "'2024-01-02 03:04:05'", '1', '3', '0', '10', '1.5', 'null'],
];
const units = ['year', 'quarter', 'month', 'week', 'day', 'hour', 'minute', 'second', 'microsecond', 'day_hour'];
const casts = [
  ...['char', 'char(5)', 'binary', 'signed', 'unsigned', 'decimal(20,5)', 'double', 'date', 'datetime', 'datetime(3)'],
  ...['time', 'time(3)', 'year', 'json', 'char character set latin1'],
];
const operators = '+ - * / % div = < <=> like regexp | & ^ << >> and xor'.split(' ');
const types = [
  'varchar(255) character set utf8mb4',
  'date',
  'datetime(3)',
  'datetime',
  'decimal(30,10)',
  'bigint',
  'time',
  'year',
  'double',
];

/** Settings that one session may have and another not. The first session has the defaults. */
const settings: Readonly<Record<'mariadb' | 'mysql', readonly string[]>> = {
  mariadb: [
    `time_zone = '+05:30', lc_time_names = 'de_DE', default_week_format = 3, div_precision_increment = 12, timestamp = 1500000000, last_insert_id = 9, rand_seed1 = 7, default_regex_flags = 'DOTALL,EXTENDED', sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO'`,
    `div_precision_increment = 0, collation_connection = 'ucs2_general_ci', sql_mode = 'PAD_CHAR_TO_FULL_LENGTH,NO_UNSIGNED_SUBTRACTION,ALLOW_INVALID_DATES,TIME_ROUND_FRACTIONAL,PIPES_AS_CONCAT,ANSI_QUOTES,HIGH_NOT_PRECEDENCE'`,
    `collation_connection = 'latin1_bin', old_mode = 'ZERO_DATE_TIME_CAST', sql_mode = 'ORACLE,EMPTY_STRING_IS_NULL,NO_BACKSLASH_ESCAPES'`,
  ],
  mysql: [
    `time_zone = '+05:30', lc_time_names = 'de_DE', default_week_format = 3, div_precision_increment = 12, timestamp = 1500000000, last_insert_id = 9, rand_seed1 = 7, block_encryption_mode = 'aes-256-ecb', sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO'`,
    `div_precision_increment = 0, collation_connection = 'ucs2_general_ci', sql_mode = 'PAD_CHAR_TO_FULL_LENGTH,NO_UNSIGNED_SUBTRACTION,ALLOW_INVALID_DATES,TIME_TRUNCATE_FRACTIONAL,PIPES_AS_CONCAT,ANSI_QUOTES,HIGH_NOT_PRECEDENCE'`,
    `collation_connection = 'latin1_bin', sql_mode = 'REAL_AS_FLOAT,IGNORE_SPACE,NO_BACKSLASH_ESCAPES'`,
  ],
};

/** Columns that must stay replicated, with their types. */
const kept: readonly (readonly [type: string, expression: string])[] = [
  ['bigint', '(n + 3) * n - n % 2'],
  ['bigint', 'u + 1'],
  ['varchar(99)', `concat(s, ' ', l, '-', n)`],
  ['varchar(99)', `concat_ws('-', s, n, d, f)`],
  ['varchar(99)', `json_unquote(json_extract(j, '$.a'))`],
  ['bigint', `cast(json_extract(j, '$.k') as signed)`],
  ['varchar(99)', `substring(s, 1, 3)`],
  ['varchar(99)', `lower(trim(s))`],
  ['varchar(99)', `upper(left(l, 2))`],
  ['varchar(99)', `case when n > 3 then 'many' when n is null then 'none' else 'few' end`],
  ['int', `if(s = 'Abc' and n in (1, 2, 3), 1, 0)`],
  ['varchar(99)', `coalesce(s, l, 'none')`],
  ['int', `if(ts is null, 1, null)`],
  ['int', `isnull(dt)`],
  ['int', 'n between 1 and 20'],
  ['char(32)', `left(sha2(concat(s, '|', n), 256), 32)`],
  ['date', 'da + interval 1 month'],
  ['date', 'date_add(da, interval n day)'],
  ['datetime(3)', 'dt - interval 90 minute'],
  ['date', 'last_day(da)'],
  ['date', 'if(dt is null, da, da + interval 1 day)'],
  ['date', 'greatest(da, date(dt))'],
  ['int', 'year(dt)'],
  ['int', 'year(dt) * 100 + month(dt)'],
  ['int', 'week(da, 3)'],
  ['int', 'datediff(dt, da)'],
  ['int', 'timestampdiff(hour, da, dt)'],
  ['int', 'extract(year from dt)'],
  ['int', 'dayofweek(dt + interval 1 day)'],
  ['int', 'time_to_sec(ti)'],
  ['int', 'da < dt'],
  ['varchar(99)', `concat(year(dt), '-', s)`],
  ['int', `s like 'a%' collate utf8mb4_bin`],
];

let admin: Connection;

describe.each([
  ['mariadb', '10.11'],
  ['mysql', '9.7'],
] as const)('virtual columns of %s %s', (flavor, version) => {
  let server: SourceServer;
  let replica: Replica;
  /** Sessions that differ in settings, in the account and in the default database. */
  const sessions: Connection[] = [];

  beforeAll(async () => {
    const { target } = sharedServers();
    // A server of its own: it is asked for what nobody asks it.
    server = await startSource({ flavor, version });
    replica = await createReplica(server, target);
    admin = await replica.sourceAdmin();
    await admin.query(`set sql_mode = '', time_zone = '+00:00', sql_log_bin = 0`);
    const list = names.map((name) => `${name} ${columns[name]}`).join(', ');
    await admin.query(`create table base (id int primary key, ${list}) engine=InnoDB default charset=utf8mb4`);
    await admin.query(`insert into base values ${rows.map((row) => `(${row})`).join(', ')}`);
    await admin.query(`create database ${replica.database}_2`);
    const other = { user: `other_${replica.database}`.slice(0, 32), password: 'other' };
    await admin.query(`create user ${other.user}@'%' identified by '${other.password}'`);
    await admin.query(`grant all on *.* to ${other.user}@'%'`);
    const login = replica.sourceAdminOptions;
    for (const [index, setting] of [null, ...settings[flavor]].entries()) {
      const session = await mysql.createConnection({
        ...login,
        ...(index === 1 ? { ...other, database: `${replica.database}_2` } : {}),
        charset: 'utf8mb4_general_ci',
      });
      await session.query(`set sql_mode = '', time_zone = '+00:00', timestamp = 1600000000`);
      if (setting !== null) await session.query(`set ${setting}`);
      sessions.push(session);
    }
    await admin.query(`set timestamp = 1600000000`);
  });

  afterAll(async () => {
    for (const session of sessions) session.destroy();
    await admin?.query(`drop database ${replica.database}_2`);
    await admin?.query(`drop user ${`other_${replica.database}`.slice(0, 32)}@'%'`);
    admin?.destroy();
    await replica?.drop();
    await server?.stop();
  });

  /** Every column by the text of its expression: why it depends on the session, or null. */
  async function judged(table: string): Promise<ReadonlyMap<string, string | null>> {
    const scope = new Scope();
    const config = loadConfig(replica.env);
    const reader = await SourceConnection.open(scope, config.source, 'reader');
    const found = (await readColumns(reader, config.source.database)).get(table) ?? [];
    reader.destroy();
    return new Map(found.map(({ name, perSession }) => [name, perSession ?? null]));
  }

  test('every one that two sessions read differently is found', async () => {
    const random = new SeededRandom(23);
    const functions = await functionsOf(flavor);
    expect(functions.length).toBeGreaterThan(200);
    const forms = [...(await formsOf(functions, random)), ...operations(random), ...nested(random)];
    const candidates: Candidate[] = [];
    for (const expression of new Set(forms))
      if (await answers(`select ${expression} from base`))
        candidates.push({ expression, type: random.chance(0.6) ? (types[0] as string) : random.pick(types) });
    const differing: string[] = [];
    const missed: string[] = [];
    for (let from = 0, table = 0; from < candidates.length; from += 80, table++) {
      const columnsOf = await makeTable(`t${table}`, candidates.slice(from, from + 80));
      const reasons = await judged(`t${table}`);
      const differ = await differences(`t${table}`, columnsOf);
      for (const { name, expression, type } of columnsOf) {
        const isFound = (reasons.get(name) ?? null) !== null;
        if (!differ.has(name)) continue;
        differing.push(expression);
        if (!isFound) missed.push(`${type}: ${expression}`);
      }
      await admin.query(`drop table t${table}`);
    }
    expect(missed).toEqual([]);
    expect(differing.length).toBeGreaterThan(100);
  });

  test('that depend on nothing but their row stay replicated', async () => {
    const list = kept.map(([type, expression], index) => `v${index} ${type} as (${expression}) virtual`);
    await admin.query(`create table kept like base`);
    await admin.query(`alter table kept ${list.map((column) => `add ${column}`).join(', ')}`);
    const reasons = await judged('kept');
    expect(kept.map(([, expression], index) => [expression, reasons.get(`v${index}`)])).toEqual(
      kept.map(([, expression]) => [expression, null]),
    );
  });

  interface Candidate {
    readonly expression: string;
    readonly type: string;
  }

  /** Makes a table with the rows of `base` and these columns, without those that the server refuses as columns. */
  async function makeTable(
    table: string,
    wanted: readonly Candidate[],
  ): Promise<readonly (Candidate & { readonly name: string })[]> {
    await admin.query(`create table ${table} like base`);
    await admin.query(`insert into ${table} select * from base`);
    const add = async (some: readonly (Candidate & { name: string })[]): Promise<typeof some> => {
      if (some.length === 0) return [];
      const adds = some.map(({ name, type, expression }) => `add ${name} ${type} as (${expression}) virtual`);
      if (await answers(`alter table ${table} ${adds.join(', ')}`)) return some;
      if (some.length === 1) return [];
      const half = some.length >> 1;
      return [...(await add(some.slice(0, half))), ...(await add(some.slice(half)))];
    };
    return await add(wanted.map((one, index) => ({ ...one, name: `v${index}` })));
  }

  /** The columns that one of the sessions reads differently than the first one. Each opens the table anew. */
  async function differences(
    table: string,
    all: readonly (Candidate & { readonly name: string })[],
  ): Promise<ReadonlySet<string>> {
    const read = async (session: Connection): Promise<Map<string, string> | null> => {
      await admin.query(`flush tables ${table}`);
      try {
        const [got] = await session.query<RowDataPacket[]>({
          sql: `select ${all.map(({ name }) => name).join(', ')} from ${replica.database}.${table} order by id`,
          typeCast: (field) => field.string(),
        });
        return new Map(
          all.map(({ name, type }) => [name, JSON.stringify(got.map((row) => atTarget(row[name] as string, type)))]),
        );
      } catch {
        return null;
      }
    };
    const found: (Map<string, string> | null)[] = [];
    for (const session of sessions) found.push(await read(session));
    const [first, ...others] = found;
    if (first === null || first === undefined || others.includes(null)) {
      // A column that cannot be read keeps the others from being read, so they are asked in two tables.
      const [only] = all;
      if (all.length === 1 && only !== undefined)
        return new Set((first ?? null) === null && others.every((other) => other === null) ? [] : [only.name]);
      const half = all.length >> 1;
      const differ = new Set<string>();
      for (const part of [all.slice(0, half), all.slice(half)]) {
        const drops = all.filter((one) => !part.includes(one)).map(({ name }) => `drop ${name}`);
        await admin.query(`create table ${table}_ like ${table}`);
        await admin.query(`alter table ${table}_ ${drops.join(', ')}`);
        await admin.query(`insert into ${table}_ (id, ${names.join(', ')}) select * from base`);
        const renamed = await differences(`${table}_`, part);
        for (const name of renamed) differ.add(name);
        await admin.query(`drop table ${table}_`);
      }
      return differ;
    }
    return new Set(
      all.filter(({ name }) => others.some((other) => other?.get(name) !== first.get(name))).map(({ name }) => name),
    );
  }
});

/** A date that PostgreSQL does not have becomes NULL there. */
function atTarget(value: string | null, type: string): string | null {
  if (value === null || !type.startsWith('date')) return value;
  const [date] = value.split(' ');
  const read = new Date(`${date}T00:00:00Z`);
  return Number.isNaN(read.getTime()) || read.toISOString().slice(0, 10) !== date ? null : value;
}

async function answers(sql: string): Promise<boolean> {
  try {
    await admin.query({ sql, rowsAsArray: true, typeCast: false });
    return true;
  } catch {
    return false;
  }
}

/** These wait, or change the server. */
const never = new Set(['SLEEP', 'BENCHMARK', 'GET_LOCK', 'MASTER_POS_WAIT', 'SOURCE_POS_WAIT']);
/** Parts of the grammar, which the servers do not list. */
const ofGrammar = [
  ...[
    'ASCII',
    'CHAR',
    'CHARSET',
    'COLLATION',
    'CURDATE',
    'CURRENT_DATE',
    'CURRENT_ROLE',
    'CURRENT_TIME',
    'CURRENT_USER',
  ],
  ...['CURRENT_TIMESTAMP', 'DATABASE', 'DATE', 'DAY', 'DEFAULT', 'FORMAT', 'HOUR', 'IF', 'INSERT', 'INTERVAL', 'LEFT'],
  ...[
    'LOCALTIME',
    'MINUTE',
    'MOD',
    'MONTH',
    'NOW',
    'REPEAT',
    'REPLACE',
    'RIGHT',
    'SECOND',
    'SYSDATE',
    'TIME',
    'TIMESTAMP',
  ],
  ...['TRUNCATE', 'USER', 'UTC_DATE', 'UTC_TIME', 'UTC_TIMESTAMP', 'YEAR', 'REGEXP_LIKE', 'WEIGHT_STRING'],
];

async function functionsOf(flavor: 'mariadb' | 'mysql'): Promise<string[]> {
  const [found] = await admin.query<RowDataPacket[][]>({
    sql:
      flavor === 'mariadb'
        ? 'select function from information_schema.sql_functions'
        : 'select distinct name from mysql.help_topic',
    rowsAsArray: true,
  });
  const listed = found.map(([name]) => name as unknown as string).filter((name) => /^[A-Z][A-Z0-9_]*$/.test(name));
  return [...new Set([...listed, ...ofGrammar])].filter((name) => !never.has(name) && !name.includes('WAIT'));
}

/** Calls of each function with every number of arguments that it takes: one of each column, and more arguments at random. */
async function formsOf(functions: readonly string[], random: SeededRandom): Promise<string[]> {
  const forms: string[] = [];
  for (const name of functions)
    for (let count = 0; count <= 4; count++) {
      const nulls = Array.from({ length: count }, () => 'null');
      if (!(await answers(`select ${name}(${nulls.join(', ')}) from base limit 0`))) continue;
      if (count === 0) forms.push(`${name}()`);
      if (count === 1) forms.push(...[...names, `'a'`, '3', `'2024-01-02'`].map((one) => `${name}(${one})`));
      const more = count > 1 ? 6 : 0;
      for (let time = 0; time < more; time++)
        forms.push(`${name}(${Array.from({ length: count }, () => argument(random)).join(', ')})`);
    }
  return forms;
}

function argument(random: SeededRandom): string {
  return random.chance(0.65) ? random.pick(names) : random.pick(literals);
}

/** What is no call: operators, casts, intervals, comparisons. */
function operations(random: SeededRandom): string[] {
  return names.flatMap((name) => {
    const other = () => random.pick(names);
    const literal = () => random.pick(literals);
    return [
      ...[
        name,
        `not ${name}`,
        `~${name}`,
        `-${name}`,
        `${name} is null`,
        `${name} is true`,
        `trim(both 'a' from ${name})`,
      ],
      ...units.flatMap((unit) => [
        `extract(${unit} from ${name})`,
        `${name} + interval ${other()} ${unit}`,
        `${name} - interval 1 ${unit}`,
        `timestampdiff(${unit}, ${name}, ${other()})`,
      ]),
      ...casts.map((type) => `cast(${name} as ${type})`),
      ...['latin1', 'utf8mb4', 'binary'].flatMap((set) => [
        `convert(${name} using ${set})`,
        `char(${name} using ${set})`,
      ]),
      ...operators.flatMap((operator) => [`${name} ${operator} ${other()}`, `${name} ${operator} ${literal()}`]),
      ...[`${name} in (${literal()}, ${other()})`, `${name} between ${other()} and ${literal()}`],
      ...[
        `case ${name} when ${literal()} then ${other()} else ${other()} end`,
        `case when ${name} > 1 then ${other()} end`,
      ],
      ...[`hex(concat(${name})) = 'ab'`, `md5(concat(${name}, ${other()}))`, `concat(${name}, '') = 'ABC'`],
      ...[`cast(cast(${name} as char) as date)`, `${name}->>'$.a'`, `json_value(${name}, '$.a' returning date)`],
      ...[`${name} collate utf8mb4_bin`, `${name} like 'a%'`, `week(${name}, 3)`, `if(${name} is null, 1, ${other()})`],
    ];
  });
}

/** Expressions in expressions, from what the judgement takes for independent of the session when it stands alone. */
function nested(random: SeededRandom): string[] {
  const expression = (depth: number): string => {
    if (depth === 0) return argument(random);
    const part = () => expression(random.int(0, depth - 1));
    switch (random.int(0, 13)) {
      case 0:
        return `${random.pick(['year', 'month', 'day', 'hour', 'last_day', 'to_days', 'quarter', 'yearweek'])}(${part()})`;
      case 1:
        return `datediff(${part()}, ${part()})`;
      case 2:
        return `(${part()} + interval ${random.pick(['1', 'n', '-3'])} ${random.pick(units)})`;
      case 3:
        return `cast(${part()} as ${random.pick(casts)})`;
      case 4:
        return `if(${part()} is null, ${part()}, ${part()})`;
      case 5:
        return `case when ${part()} then ${part()} else ${part()} end`;
      case 6:
      case 7:
        return `(${part()} ${random.pick(operators)} ${part()})`;
      case 8:
        return `${random.pick(['coalesce', 'greatest', 'least', 'nullif', 'ifnull'])}(${part()}, ${part()})`;
      case 9:
        return `concat(${part()}, ${part()})`;
      case 10:
        return `${random.pick(['lower', 'hex', 'unhex', 'md5', 'length', 'trim', 'reverse', 'crc32', 'round', 'abs', 'date', 'inet_aton'])}(${part()})`;
      case 11:
        return `substr(${part()}, 2, 3)`;
      case 12:
        return `json_unquote(json_extract(${random.pick(['j', part()])}, '$.a'))`;
      default:
        return `replace(${part()}, 'a', ${part()})`;
    }
  };
  return Array.from({ length: 1_200 }, () => expression(3));
}
