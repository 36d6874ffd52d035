import fc from 'fast-check';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Finding } from '../../src/errors/finding.ts';
import { RunProcess } from '../../testing/run-process.ts';
import type { SourceServer } from '../../testing/servers/server.ts';
import { startSource } from '../../testing/servers/source.ts';
import { runCli } from '../support/cli.ts';
import { type Replica, createReplica } from '../../testing/replica.ts';
import { sharedServers } from '../support/shared-servers.ts';
import { allCases, casesOn } from './types/all-cases.ts';
import { createCaseTable, enter, insertValues } from './types/oracle.ts';
import { atLeast, paths, textLiteral } from './types/type-case.ts';

let replica: Replica;
let source: Connection;

beforeEach(async () => {
  const servers = sharedServers();
  replica = await createReplica(servers.source, servers.target);
  source = await replica.sourceAdmin();
  await source.query(`set sql_mode = '', time_zone = '+00:00'`);
});

afterEach(async () => {
  source?.destroy();
  await replica?.drop();
});

async function run(rules: string): Promise<RunProcess> {
  const program = new RunProcess({ ...replica.env, COLUMN_RULES: `${rules},t.flag=boolean` }, ['--until-caught-up']);
  await program.succeeded();
  return program;
}

async function check(rules: string): Promise<{ code: number | null; findings: Finding[] }> {
  const { code, stdout } = await runCli(['check', '--json'], { ...replica.env, COLUMN_RULES: rules });
  const { findings } = JSON.parse(stdout) as { findings: Finding[] };
  // The test servers do not flush their binlog, which is a warning of the settings.
  return { code, findings: findings.filter(({ level, subject }) => level !== 'ok' && subject !== 'source settings') };
}

/** Every row as text, ordered by the first column. */
async function atSource(columns: string, table: string): Promise<unknown[][]> {
  const list = columns.split(', ').map((name) => `cast(${name} as char)`);
  const [rows] = await source.query<RowDataPacket[][]>({
    sql: `select ${list.join(', ')} from ${table}`,
    rowsAsArray: true,
  });
  return inOrder(rows);
}

async function atTarget(columns: string, table: string): Promise<unknown[][]> {
  const list = columns.split(', ').map((name) => `${name}::text`);
  const { rows } = await replica.targetAdmin.query<unknown[]>({
    text: `select ${list.join(', ')} from raw.${table}`,
    rowMode: 'array',
  });
  return inOrder(rows);
}

function inOrder(rows: readonly unknown[][]): unknown[][] {
  return rows.toSorted((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1));
}

async function columnsAtTarget(table: string): Promise<string[]> {
  const { rows } = await replica.targetAdmin.query<{ name: string }>(
    `select column_name as name from information_schema.columns where table_schema = 'raw' and table_name = $1
      order by ordinal_position`,
    [table],
  );
  return rows.map(({ name }) => name);
}

describe('omit', () => {
  test('skips the values of every type, including types that cannot be replicated', async () => {
    // The first three cases concern the entire table; the last one needs a time zone that is missing.
    const others = new Set(['hidden_unique_hash', 'hidden_number_hash', 'versioned', 'dst_night']);
    const cases = casesOn(sharedServers().source).filter(({ name, rule }) => rule === undefined && !others.has(name));
    const literals = (one: (typeof cases)[number]) =>
      one.values.map((value) => (typeof value === 'string' ? value : value[0]));
    for (const one of cases) {
      await createCaseTable(
        source,
        { ...one, more: `${one.more === undefined ? '' : `${one.more}, `}tail int` },
        undefined,
      );
      await enter(source, one);
      await insertValues(source, one, literals(one), paths.snapshot);
    }
    await run('*.v=omit');
    for (const one of cases) {
      await enter(source, one);
      await insertValues(source, one, literals(one), paths.insert);
      await source.query(`update ${one.name} set tail = id`);
    }
    const second = await run('*.v=omit');
    expect(second.find('table left out')).toBeUndefined();
    expect(second.find('table suspended')).toBeUndefined();
    expect(cases.length).toBeGreaterThan(200);
    for (const { name, more = '' } of cases) {
      const kept = more.startsWith('base ') ? ['id', 'base', 'tail'] : ['id', 'tail'];
      expect([name, await columnsAtTarget(name)]).toEqual([name, [...kept, '_loaded_at']]);
      expect([name, await atTarget('id, tail', name)]).toEqual([name, await atSource('id, tail', name)]);
    }
  });

  test('omits the first column, some in the middle and the last, whether NULL or not', async () => {
    await source.query(
      `create table t (a varchar(9), id int, b date, c text, kind int, d time(3), e blob, primary key (kind, id)) engine=MyISAM`,
    );
    const rules = 't.a=omit,t.b=omit,t.d=omit,t.e=omit';
    const write = async (kind: number) =>
      await source.query(
        `insert into t values ('x', 1, '2024-01-01', 'one', ${kind}, '10:00', x'00'), (null, 2, null, null, ${kind}, null, null),
                              ('', 3, '0000-00-00', 'three', ${kind}, null, x'ff'), (null, 4, null, '', ${kind}, '1:1:1', null)`,
      );
    await write(1);
    await run(rules);
    await write(2);
    await source.query(`update t set id = id + 10, a = null, e = 'new' where kind = 1 and id < 3`);
    await source.query('delete from t where id = 3');
    await run(rules);
    expect(await columnsAtTarget('t')).toEqual(['id', 'c', 'kind', '_loaded_at']);
    expect(await atTarget('id, c, kind', 't')).toEqual(await atSource('id, c, kind', 't'));
    expect((await atTarget('id', 't')).length).toBe(6);
  });

  test('is recommended by check for a table with a type that cannot be replicated', async () => {
    await source.query(
      `create table mixed (id int primary key, note varchar(9), old set('','x'), \`a.b\` enum('yes','?') character set utf8mb4)`,
    );
    const { code, findings } = await check('');
    const [warning] = findings.filter(({ subject }) => subject === 'table mixed');
    expect(code).toBe(1);
    expect(warning?.level).toBe('warning');
    const [, rules] = /COLUMN_RULES=(\S+);/.exec(warning?.remedy ?? '') ?? [];
    expect(rules).toBe('mixed.old=omit,mixed.a?b=omit');
    expect(await check(rules ?? '')).toEqual({ code: 0, findings: [] });
    await run(rules ?? '');
    expect(await columnsAtTarget('mixed')).toEqual(['id', 'note', '_loaded_at']);
  });
});

describe.each(['10.11', '11.8'])('omitted generated columns of MariaDB %s', (version) => {
  let server: SourceServer;

  beforeAll(async () => {
    server = await startSource({ flavor: 'mariadb', version });
  });

  afterAll(async () => {
    await server?.stop();
  });

  test('are skipped, whether the images of changed rows contain them or not', async () => {
    const made = await createReplica(server, sharedServers().target);
    const admin = await made.sourceAdmin();
    try {
      await admin.query(
        `create table t (a int, v int as (a * 2) virtual, id int primary key, s varchar(20) as (concat('s', a)) stored, b blob, note varchar(20), flag tinyint)`,
      );
      await admin.query(
        `insert into t (a, id, b, note) values (1, 1, 'blob', 'x'), (2, 2, null, null), (3, 3, '', 'y')`,
      );
      const rules = 't.v=omit,t.s=omit';
      const replicate = async () =>
        await new RunProcess({ ...made.env, COLUMN_RULES: `${rules},t.flag=boolean` }, [
          '--until-caught-up',
        ]).succeeded();
      await replicate();
      await admin.query(`insert into t (a, id, note) values (4, 4, 'new'), (5, 5, 'gone')`);
      await admin.query(`update t set a = 7, b = null where id = 1`);
      await admin.query(`update t set id = 9, note = null where id = 2`);
      await admin.query(`delete from t where id = 5`);
      await admin.query(`update t set note = concat(id, '!') where id > 2`);
      await replicate();
      const { rows } = await made.targetAdmin.query({
        text: `select id, a, b, note from raw.t order by id`,
        rowMode: 'array',
      });
      expect(rows).toEqual([
        [1, 7, null, 'x'],
        [3, 3, Buffer.alloc(0), '3!'],
        [4, 4, null, '4!'],
        [9, 2, null, '9!'],
      ]);
      const suspended = await made.targetAdmin.query(`select from tidegate_raw.tables where state = 'suspended'`);
      expect(suspended.rowCount).toBe(0);
      // 2 is not a boolean. The row is kept as an image of all columns.
      await admin.query(`update t set flag = 2 where id = 3`);
      await replicate();
      const deadLetters = await made.targetAdmin.query<{ format: string; hex: string }>(
        `select format, encode("row", 'hex') as hex from tidegate_raw.dead_letters`,
      );
      expect(deadLetters.rows).toEqual([{ format: 'image', hex: '8a0300000003000000000002332102' }]);
      const { stdout } = await runCli(['check', '--json'], made.env);
      const warnings = (JSON.parse(stdout) as { findings: Finding[] }).findings.filter(
        ({ subject, level }) => subject === 'table t' && level === 'warning',
      );
      expect(warnings.flatMap(({ remedy }) => /COLUMN_RULES=(\S+);/.exec(remedy ?? '')?.[1] ?? [])).toEqual(
        version === '11.8' ? [rules] : [],
      );
    } finally {
      admin.destroy();
      await made.drop();
    }
  });
});

test('text on key columns limits the chunks, and finds the changed and deleted rows', async () => {
  const types = [
    'bigint_signed',
    'int_zerofill',
    'decimal_18_9_zerofill',
    'decimal_65_30',
    'year_column',
    'time_6',
    'timestamp_3',
  ];
  for (const name of types) {
    const one = allCases.find((candidate) => candidate.name === name);
    if (one === undefined) throw new Error(`no case ${name}`);
    await source.query(
      `create table ${name} (v ${one.column.replace(/ null$/, '')} not null primary key, n int) engine=InnoDB`,
    );
    const random = one.random ?? fc.integer({ min: 1, max: 2155 }).map(String);
    const literals = [
      ...one.values.map((value) => (typeof value === 'string' ? value : value[0])),
      ...fc.sample(random, 3_000),
    ];
    await source.query(
      `insert ignore into ${name} values ${literals.map((value, n) => `(${value}, ${n})`).join(', ')}`,
    );
  }
  await run('*.v=text');
  for (const name of types) expect([name, await atTarget('v, n', name)]).toEqual([name, await atSource('v, n', name)]);
  for (const name of types) {
    await source.query(`update ${name} set n = n + 10000, v = v where n % 3 = 0`);
    await source.query(`delete from ${name} where n % 3 = 1`);
  }
  await source.query('update ignore int_zerofill set v = v + 1');
  await run('*.v=text');
  for (const name of types) expect([name, await atTarget('v, n', name)]).toEqual([name, await atSource('v, n', name)]);
});

test('a date that a rule makes NULL is counted in snapshot and stream', async () => {
  await source.query('create table t (id int primary key, d date, at datetime(2)) engine=InnoDB');
  await source.query(
    `insert into t values (1, '0001-01-01', '0001-01-01'), (2, '0000-00-00', '0001-01-01 00:00:00.01')`,
  );
  const rules = 't.*=null=0001-01-01';
  await run(`t.id=text,${rules}`);
  await source.query(`insert into t values (3, '0001-01-01', null), (4, '2024-01-01', '0001-01-01')`);
  await run(`t.id=text,${rules}`);
  expect(await atTarget('id, d, at', 't')).toEqual([
    ['1', null, null],
    ['2', null, '0001-01-01 00:00:00.01'],
    ['3', null, null],
    ['4', '2024-01-01', null],
  ]);
  const { rows } = await replica.targetAdmin.query(
    'select column_name, kind, count::int from tidegate_raw.conversions order by column_name, kind',
  );
  expect(rows).toEqual([
    { column_name: 'at', kind: 'sentinel-to-null', count: 2 },
    { column_name: 'd', kind: 'date-to-null', count: 1 },
    { column_name: 'd', kind: 'sentinel-to-null', count: 2 },
  ]);
});

test('a number that is not a boolean makes its row a dead letter until it is corrected; omitted values are not kept there', async () => {
  await source.query('create table t (a varchar(20), id int primary key, yes tinyint, b varchar(20)) engine=InnoDB');
  const rules = 't.yes=boolean,t.a=omit,t.b=omit';
  const deadLetters = async () =>
    (
      await replica.targetAdmin.query<{ key: string; column: string; format: string; leaks: boolean }>(
        `select convert_from(key, 'utf8') as key, column_name as column, format, position('omitted'::bytea in row) > 0 as leaks
           from tidegate_raw.dead_letters order by 1`,
      )
    ).rows;
  await source.query(
    `insert into t values ('omitted', 1, 1, 'omitted'), ('omitted', 2, 2, 'omitted'), (null, 3, null, null)`,
  );
  await run(rules);
  expect(await atTarget('id, yes', 't')).toEqual([
    ['1', 'true'],
    ['3', null],
  ]);
  await source.query(`insert into t values ('omitted', 4, -1, null), ('omitted', 5, 0, 'omitted')`);
  await run(rules);
  expect(await deadLetters()).toEqual([
    { key: '2', column: 'yes', format: 'packet', leaks: false },
    { key: '4', column: 'yes', format: 'image', leaks: false },
  ]);
  await source.query('update t set yes = 1 where id in (2, 4)');
  await run(rules);
  expect(await deadLetters()).toEqual([]);
  expect(await atTarget('id, yes', 't')).toEqual([
    ['1', 'true'],
    ['2', 'true'],
    ['3', null],
    ['4', 'true'],
    ['5', 'false'],
  ]);
});

test('a text that is not JSON, or that jsonb cannot hold, makes its row a dead letter until it is corrected', async () => {
  await source.query('create table t (id int primary key, doc longtext) engine=InnoDB default charset=utf8mb4');
  const { flavor, version } = sharedServers().source;
  const isStrict = flavor === 'mysql' && atLeast(version, '5.7');
  const documents = [
    textLiteral('{"b": 1, "a": [1.50, 12345678901234567890], "b": 2}'),
    textLiteral('no document'),
    `''`,
    'null',
    textLiteral(String.raw`"\ud800"`),
    textLiteral(String.raw`{"a\u0000":"\\u0000"}`),
    `concat('"a', char(0), '"')`,
    textLiteral(' [null] '),
    // MySQL since 5.7 refuses bytes that are not characters.
    ...(isStrict ? [] : [`concat('"', _utf8mb4 x'eda080', '"')`]),
  ];
  const insert = async (base: number) =>
    await source.query(`insert into t values ${documents.map((text, n) => `(${base + n}, ${text})`).join(', ')}`);
  await insert(0);
  await run('t.doc=jsonb');
  await insert(10);
  await run('t.doc=jsonb');
  const good = [
    '{"a": [1.50, 12345678901234567890], "b": 2}',
    null,
    String.raw`{"a${'\ufffd'}": "\\u0000"}`,
    '"a\ufffd"',
    '[null]',
  ].map((document) => [document]);
  const { rows } = await replica.targetAdmin.query({
    text: 'select doc::text from raw.t order by id',
    rowMode: 'array',
  });
  expect(rows).toEqual([...good, ...good]);
  const deadLetters = await replica.targetAdmin.query<{ key: string }>(
    `select convert_from(key, 'utf8')::int % 10 as key, column_name as column, sqlstate, count(*)::int as n from tidegate_raw.dead_letters group by 1, 2, 3 order by 1`,
  );
  expect(deadLetters.rows).toEqual([
    { key: 1, column: 'doc', sqlstate: null, n: 2 },
    { key: 2, column: 'doc', sqlstate: null, n: 2 },
    { key: 4, column: null, sqlstate: expect.stringMatching(/^22/), n: 2 },
    ...(isStrict ? [] : [{ key: 8, column: 'doc', sqlstate: null, n: 2 }]),
  ]);
  const counted = await replica.targetAdmin.query('select kind, count::int from tidegate_raw.conversions');
  expect(counted.rows).toEqual([{ kind: 'nul-replaced', count: 4 }]);
  await source.query(`update t set doc = '{}' where id % 10 in (1, 2, 4, 8)`);
  await run('t.doc=jsonb');
  expect((await replica.targetAdmin.query('select from tidegate_raw.dead_letters')).rowCount).toBe(0);
  expect((await replica.targetAdmin.query('select from raw.t')).rowCount).toBe(documents.length * 2);
});

describe('rules that', () => {
  beforeEach(async () => {
    await source.query(
      'create table patient (PatNum bigint primary key, IsHidden tinyint(1), LName varchar(20), DateTStamp timestamp null)',
    );
    await source.query(`insert into patient values (1, 1, 'A', '2024-07-01 12:00:00')`);
  });

  test('do not fit their columns are errors of check, all at once with the rules that fit, and run refuses', async () => {
    const rules = 'patient.PatNum=omit,PATIENT.isHidden=local=Europe/Berlin,*.LName=boolean';
    const { code, findings } = await check(rules);
    expect(code).toBe(1);
    const [first] = findings;
    expect(first).toMatchObject({
      level: 'error',
      subject: 'table patient',
      remedy: expect.stringContaining('COLUMN_RULES'),
    });
    for (const part of [
      'column PatNum: rule omit does not fit a key column of type bigint; rules that fit: text',
      'column IsHidden: rule local does not fit a column of type tinyint; rules that fit: boolean, text, omit',
      'column LName: rule boolean does not fit a column of type varchar; rules that fit: jsonb, omit',
    ])
      expect(first?.message).toContain(part);
    const ran = await runCli(['run'], { ...replica.env, COLUMN_RULES: rules });
    expect(ran.code).toBe(2);
    expect(await replica.targetAdmin.query(`select from pg_namespace where nspname = 'raw'`)).toMatchObject({
      rowCount: 0,
    });
  });

  test('match no column are warnings, also if an earlier entry matches all their columns', async () => {
    const { code, findings } = await check('patient.Ishiden=boolean,patient.Is*=boolean,*.IsHidden=text');
    expect(code).toBe(0);
    expect(findings).toMatchObject([
      { level: 'warning', subject: 'column rules', message: expect.stringContaining('patient.Ishiden=boolean') },
      { level: 'warning', subject: 'column rules', message: expect.stringContaining('*.IsHidden=text') },
    ]);
  });

  test('change after rows are copied are refused until they are restored or the target is reset', async () => {
    const rules = 'patient.IsHidden=boolean,*.DateTStamp=local=America/New_York';
    const columns = 'PatNum, IsHidden, DateTStamp'.replaceAll(/\w+/g, '"$&"');
    const before = [['1', 'true', '2024-07-01 08:00:00']];
    await run(rules);
    expect(await atTarget(columns, 'patient')).toEqual(before);
    await source.query(`insert into patient values (2, 0, 'B', '2024-12-01 12:00:00')`);

    const others = 'patient.LName=omit,*.DateTStamp=local=Europe/Berlin';
    const { code, findings } = await check(others);
    expect(code).toBe(1);
    expect(findings).toMatchObject([
      {
        level: 'error',
        kind: 'config',
        message: expect.stringMatching(
          /patient\.IsHidden was copied by rule boolean and now has no rule; patient\.LName was copied by no rule and now has rule omit; patient\.DateTStamp was copied by rule local=America\/New_York and now has rule local=Europe\/Berlin/,
        ),
        remedy: expect.stringContaining('tidegate reset'),
      },
    ]);
    expect((await runCli(['run', '--until-caught-up'], { ...replica.env, COLUMN_RULES: others })).code).toBe(2);
    expect(await atTarget(columns, 'patient')).toEqual(before);

    await run(rules);
    expect(await atTarget(columns, 'patient')).toEqual([...before, ['2', 'false', '2024-12-01 07:00:00']]);

    expect((await runCli(['reset'], replica.env)).code).toBe(0);
    await run(others);
    expect(await columnsAtTarget('patient')).toEqual(['PatNum', 'IsHidden', 'DateTStamp', '_loaded_at']);
    expect(await atTarget(columns, 'patient')).toEqual([
      ['1', '1', '2024-07-01 14:00:00'],
      ['2', '0', '2024-12-01 13:00:00'],
    ]);
  });
});
