import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startSource } from '../../../testing/servers/source.ts';
import type { SourceServer } from '../../../testing/servers/server.ts';
import type { Finding } from '../../../src/errors/finding.ts';
import { Streaming } from '../../pipeline/stream/support/streaming.ts';
import { runCli } from '../../support/cli.ts';
import { createReplica, type Replica } from '../../../testing/replica.ts';
import { sharedServers } from '../../support/shared-servers.ts';

interface Server {
  readonly flavor: 'mariadb' | 'mysql';
  readonly version: string;
}

const servers: readonly Server[] = [
  { flavor: 'mariadb', version: '10.11' },
  { flavor: 'mysql', version: '9.7' },
  ...(process.env['TIDEGATE_MATRIX'] === '1'
    ? ([
        { flavor: 'mariadb', version: '10.5' },
        { flavor: 'mariadb', version: '11.8' },
        { flavor: 'mysql', version: '5.6' },
      ] as const)
    : []),
];

/** More rows than the first chunk of a snapshot. */
const rows = 3_000;

const utf8 = 'default character set utf8mb4 collate utf8mb4_general_ci';

interface Keyed {
  readonly table: string;
  readonly columns: string;
  /** The columns of the key at the target, in order. */
  readonly key: readonly string[];
  readonly row: (n: number) => string;
}

/** Tables without a primary key. */
const keyed: readonly Keyed[] = [
  {
    table: 'badge',
    columns: 'label varchar(50), number int not null, unique key by_number (number)',
    key: ['number'],
    row: (n) => `'badge ${n}', ${n * 7 - 9_000}`,
  },
  {
    table: 'visit',
    columns: "place varchar(20) not null, day date not null, note text, unique key `day's ``place``` (day, place)",
    key: ['day', 'place'],
    row: (n) => `'Room ${n % 50}', date_add('2026-01-01', interval ${Math.floor(n / 50)} day), null`,
  },
  {
    table: 'word',
    columns: 'uses int, word varchar(40) not null, unique key word (word)',
    key: ['word'],
    row: (n) => `${n}, '${['Tide', 'tide-', 'ÉTÉ ', 'gäte'][n % 4]}${n.toString(36)}'`,
  },
  {
    table: 'choice',
    columns: `a int null, b varchar(20) not null, c int not null, d int not null, e int not null, unique key a_nullable (a),
      unique key b_prefix (b(4)), unique key c_wide (c, d), unique key z (e), unique key y (d)`,
    key: ['d'],
    row: (n) => `null, '${String(n).padStart(4, '0')}', ${n % 9}, ${n}, ${rows - n}`,
  },
  {
    table: 'half',
    columns: 'a int null, b int not null, c int not null, unique key ab (a, b), unique key bc (b, c)',
    key: ['b', 'c'],
    row: (n) => `null, ${n % 11}, ${n}`,
  },
];

/** MariaDB, and MySQL before 5.7, have no generated columns that are not null. */
const derived: Keyed = {
  table: 'derived',
  columns: 'a int, b int as (a * 2) virtual not null, unique key b (b)',
  key: ['b'],
  row: (n) => `${n}, default`,
};
const keyedOn = ({ flavor, version }: Server) =>
  flavor === 'mysql' && version !== '5.6' ? [...keyed, derived] : keyed;

/** Invisible indexes and indexes with mixed directions appeared at about the same time. */
const isModern = ({ version }: Server) => version !== '5.6' && version !== '10.5';

describe.each(servers)('a table whose key is a unique index, on $flavor $version', (server) => {
  let source: SourceServer;
  let streaming: Streaming;

  beforeAll(async () => {
    source = await startSource(server);
    streaming = await Streaming.start(
      async (admin) => {
        for (const { table, columns, row } of keyedOn(server)) {
          await admin.query(
            `create table ${table} (${columns}) engine=${table === 'visit' ? 'MyISAM' : 'InnoDB'} ${utf8}`,
          );
          const all = Array.from({ length: rows }, (_, n) => `(${row(n)})`);
          await admin.query(`insert into ${table} values ${all.join(', ')}`);
        }
      },
      { source, target: sharedServers().target },
    );
  });

  afterAll(async () => {
    await streaming?.end();
    await source?.stop();
  });

  async function expectEqual(): Promise<void> {
    await streaming.caughtUp();
    expect(await streaming.differences()).toEqual([]);
  }

  async function keyOf(table: string): Promise<string[]> {
    const found = await streaming.rows(
      `select a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
        where i.indrelid = '${table}'::regclass and i.indisprimary order by array_position(i.indkey::int[], a.attnum::int)`,
    );
    return found.map(([name]) => name ?? '');
  }

  async function becomes(table: string, state: string): Promise<void> {
    await streaming.until(async () => (await streaming.tableState(table)).state === state, `${table} is ${state}`);
  }

  test('is copied entirely, and its primary key is the narrowest index of not-null columns', async () => {
    await expectEqual();
    for (const { table, key } of keyedOn(server)) expect(await keyOf(table), table).toEqual(key);
  });

  test('inserts, updates and deletes arrive', async () => {
    const { source } = streaming;
    await source.query(`insert into badge values ('new', 1000000), (null, 1000001)`);
    await source.query(`insert into badge values ('again', 1000000) on duplicate key update label = 'updated'`);
    await source.query(`replace into badge values ('replaced', 1000001)`);
    await source.query(`update badge set label = upper(label) where number % 3 = 0`);
    await source.query(`delete from badge where number % 5 = 0`);
    await source.query(`update visit set note = 'seen' where place = 'room 7'`);
    await source.query(`delete from visit where day < '2026-01-05' and place < 'Room 30'`);
    await source.query(`update choice set a = d, b = concat(b, '!') where d % 2 = 0`);
    await source.query(`delete from choice where e < 100`);
    await source.query(`update half set a = c where c % 2 = 0`);
    await source.query(`delete from half where b = 3`);
    await expectEqual();
  });

  test('a key value that changes leaves no row under the old one', async () => {
    const { source } = streaming;
    await source.query(`update badge set number = number + 5000000 where number % 2 = 0`);
    await source.query(`update badge set number = number + 1 order by number desc`);
    await source.query(`update visit set day = date_add(day, interval 1 year) where place like '%1%'`);
    await source.query(`update visit set place = concat(place, ' B') where place = 'Room 2'`);
    await source.query(`update half set b = b + 1000 where b = 4`);
    if (keyedOn(server).includes(derived)) {
      await source.query('update derived set a = a + 10000 where a % 2 = 0');
      await source.query('delete from derived where a % 5 = 0');
    }
    await expectEqual();
  });

  test('keys that swap within one transaction', async () => {
    const { source } = streaming;
    await source.query(`insert into badge values ('was -1', -1000001), ('was -2', -1000002)`);
    await streaming.caughtUp();
    await source.query('start transaction');
    await source.query('update badge set number = -1000003 where number = -1000001');
    await source.query('update badge set number = -1000001 where number = -1000002');
    await source.query('update badge set number = -1000002 where number = -1000003');
    await source.query('commit');
    await expectEqual();
  });

  test('a text key that changes only its case, although both are equal at the source', async () => {
    const { source } = streaming;
    await source.query(`update word set word = upper(word) where uses % 2 = 0`);
    await source.query(`delete from word where word = 'TIDE1' or word = 'eTe 2'`);
    await source.query(`replace into word values (-1, 'TIDE-5')`);
    await source.query(`insert into word values (1, 'Ebb'), (2, 'Flow')`);
    await source.query(`update word set word = 'ebb' where word = 'EBB'`);
    await expectEqual();
    expect(await streaming.rows(`select word from word where lower(word) = 'ebb'`)).toEqual([['ebb']]);
  });

  test('is verified and repaired by the same index', async () => {
    await streaming.target.query(`delete from visit where place = 'Room 8'`);
    await streaming.target.query(`update word set uses = -5 where uses % 100 = 0`);
    expect((await runCli(['verify'], streaming.env)).code).toBe(1);
    const repaired = await runCli(['backfill', 'visit', 'word'], streaming.env);
    expect(repaired.code, repaired.stdout + repaired.stderr).toBe(0);
    const verified = await runCli(['verify'], streaming.env);
    expect(verified.code, verified.stdout + verified.stderr).toBe(0);
    await expectEqual();
  });

  test('keeps its key when a narrower index is added, and continues after a restart', async () => {
    const { source } = streaming;
    await source.query(`create unique index by_c on half (c)`);
    await source.query(`drop index ab on half`);
    await source.query(`alter table choice drop index z, add unique key x (e)`);
    await streaming.restart();
    await source.query(`update half set a = -a where c < 100`);
    await source.query(`update half set b = b + 1 where c = 50`);
    await expectEqual();
    expect(await keyOf('half')).toEqual(['b', 'c']);
  });

  test('is suspended when the index is dropped, and is read again with its new key', async () => {
    const { source } = streaming;
    await source.query(`alter table half drop index BC, add index bc (b, c)`);
    await becomes('half', 'suspended');
    expect((await streaming.tableState('half')).reason).toContain('the index that is its key');
    await source.query(`drop index by_number on badge`);
    await source.query(`insert into badge values ('twice', 7), ('twice', 7)`);
    await becomes('badge', 'suspended');
    const half = await runCli(['backfill', 'half'], streaming.env);
    expect(half.code, half.stdout + half.stderr).toBe(0);
    expect(await keyOf('half')).toEqual(['c']);
    const badge = await runCli(['backfill', 'badge'], streaming.env);
    expect(badge.code).not.toBe(0);
    expect(badge.stdout + badge.stderr).toContain('no primary key');
    await source.query('drop table badge');
    await source.query(`update half set c = c + 100000 where c % 2 = 0`);
    await streaming.target.query('drop table badge');
    await expectEqual();
  });
});

describe.each(servers)('on $flavor $version', (server) => {
  let source: SourceServer;
  let replica: Replica;

  beforeAll(async () => {
    source = await startSource(server);
    replica = await createReplica(source, sharedServers().target);
    const admin = await replica.sourceAdmin();
    await admin.query('create table plain (id int not null primary key)');
    await admin.query('create table loose (a int null, unique key k (a))');
    await admin.query('create table half_loose (a int not null, b int null, unique key k (a, b))');
    await admin.query('create table prefixed (a varchar(50) not null, unique key k (a(10)))');
    await admin.query('create table prefixed_too (a int not null, b blob not null, unique key k (a, b(20)))');
    await admin.query('create table repeated (a int not null, key k (a))');
    await admin.query('create table in_memory (a int not null, unique key k (a) using hash) engine=MEMORY');
    if (isModern(server)) {
      const hidden = server.flavor === 'mysql' ? 'invisible' : 'ignored';
      // The first index of not-null columns cannot be hidden, because the engine may store the rows by it.
      await admin.query(
        `create table hidden (a int not null, b int not null, c int not null, unique key ab (a, b), unique key k (c) ${hidden})`,
      );
      await admin.query('create table mixed (a int not null, b int not null, unique key k (a, b desc))');
      await admin.query('create table backwards (a int not null, b int not null, unique key k (a desc, b desc))');
      if (server.flavor === 'mysql')
        await admin.query('create table expressed (a int not null, unique key k ((a + 1)))');
    }
    await admin.end();
  });

  afterAll(async () => {
    await replica?.drop();
    await source?.stop();
  });

  const lacking = [
    ...['loose', 'half_loose', 'prefixed', 'prefixed_too', 'repeated', 'in_memory'],
    ...(isModern(server) ? ['mixed'] : []),
    ...(isModern(server) && server.flavor === 'mysql' ? ['expressed'] : []),
  ];

  test('check names tables whose unique index is not of entire not-null columns in ascending order, and a remedy', async () => {
    const { stdout } = await runCli(['check', '--json'], replica.env);
    const { findings } = JSON.parse(stdout) as { findings: Finding[] };
    const warnings = findings.filter(({ level, subject }) => level === 'warning' && subject.startsWith('table '));
    expect(warnings.map(({ subject }) => subject).toSorted()).toEqual(
      lacking.map((name) => `table ${name}`).toSorted(),
    );
    for (const { message, remedy } of warnings) {
      expect(message).toContain('no primary key, and no unique index of whole not-null columns');
      expect(remedy).toContain('for a primary key or a unique index of not-null columns');
    }
  });

  if (isModern(server))
    test('an index that is hidden from the optimizer is not a key', async () => {
      const admin = await replica.sourceAdmin();
      await admin.query('insert into hidden values (1, 1, 1), (1, 2, 2)');
      await admin.end();
      const run = await runCli(['run', '--until-caught-up'], replica.env);
      expect(run.code, run.stdout + run.stderr).toBe(0);
      const { rows } = await replica.targetAdmin.query(
        `select pg_get_indexdef(indexrelid) as key from pg_index where indrelid = 'raw.hidden'::regclass and indisprimary`,
      );
      expect(rows).toEqual([{ key: expect.stringContaining('(a, b)') }]);
    });
});
