import type { Connection, RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compareDatabases, isEqual } from '../../../testing/compare/compare.ts';
import { createReplica, type Replica } from '../../../testing/replica.ts';
import { RunProcess } from '../../../testing/run-process.ts';
import type { Finding } from '../../../src/errors/finding.ts';
import { runCli } from '../../support/cli.ts';
import { sequence } from '../../support/sequence.ts';
import { sharedServers } from '../../support/shared-servers.ts';

/** The maximum number of columns in PostgreSQL, minus those that Tidegate adds. */
const most = 1_598;
const columns = (count: number) => Array.from({ length: count }, (_, index) => `c${index} tinyint`).join(', ');
const wideText = Array.from({ length: 900 }, (_, index) => `c${index} varchar(12)`).join(', ');
const longText = Array.from({ length: 900 }, () => `'123456789012'`).join(', ');
/** Longer than an index entry of PostgreSQL, and not compressible. */
const longKey = (seed: number) =>
  `(select group_concat(sha2(seq + ${seed}, 512) separator '') from ${sequence(1, 22)})`;

let replica: Replica;
let source: Connection;

beforeAll(async () => {
  const servers = sharedServers();
  replica = await createReplica(servers.source, servers.target);
  source = await replica.sourceAdmin();
  await source.query('set group_concat_max_len = 1000000');
});

afterAll(async () => {
  source?.destroy();
  await replica?.drop();
});

async function run(rules = ''): Promise<void> {
  await new RunProcess({ ...replica.env, COLUMN_RULES: rules }, ['--until-caught-up']).succeeded();
}

async function leftOut(rules = ''): Promise<Finding[]> {
  const { stdout } = await runCli(['check', '--json'], { ...replica.env, COLUMN_RULES: rules });
  return (JSON.parse(stdout) as { findings: Finding[] }).findings.filter(
    ({ level, subject }) => level !== 'ok' && subject !== 'source settings',
  );
}

async function expectEqual(tables: readonly string[]): Promise<void> {
  const { host, port, user, password } = sharedServers().source;
  const compared = await compareDatabases({
    source: { host, port, user, password },
    database: replica.database,
    target: replica.targetAdminOptions,
    schema: replica.schema,
    tables,
  });
  expect(compared.filter((table) => !isEqual(table))).toEqual([]);
}

describe('what PostgreSQL cannot hold', () => {
  test('is a table with too many columns or with reserved names, which check reports beforehand', async () => {
    await source.query(`create table widest (id int primary key, ${columns(most - 1)}) engine=MyISAM`);
    await source.query(`create table too_wide (id int primary key, ${columns(most)}) engine=MyISAM`);
    await source.query(`create table spread (id int primary key, xmin int, XMAX int, ctid int) engine=InnoDB`);
    await source.query(
      `create table stamped (id int primary key, _loaded_at int, \`${'é'.repeat(32)}\` int) engine=InnoDB`,
    );
    await source.query('create table ordinary (id int primary key, `_Loaded_At` int, oid int) engine=InnoDB');
    expect(await leftOut()).toMatchObject([
      { subject: 'table spread', remedy: expect.stringContaining('COLUMN_RULES=spread.xmin=omit,spread.ctid=omit;') },
      {
        subject: 'table stamped',
        remedy: expect.stringContaining(`COLUMN_RULES=stamped._loaded_at=omit,stamped.${'é'.repeat(32)}=omit;`),
      },
      { subject: 'table too_wide', message: expect.stringContaining('it has 1599 columns') },
    ]);
    const rules = `too_wide.c7=omit,spread.xmin=omit,spread.ctid=omit,stamped._loaded_at=omit,stamped.é*=omit`;
    expect(await leftOut(rules)).toEqual([]);
    for (const table of ['widest', 'too_wide', 'spread', 'stamped', 'ordinary'])
      await source.query(`insert into ${table} (id) values (1), (2)`);
    await source.query('update widest set c1 = 1, c1596 = -1');
    await run(rules);
    await source.query('update widest set c2 = 2, c1595 = -2 where id = 1');
    await source.query('insert into widest (id, c1596) values (3, 3)');
    await source.query('update too_wide set c1597 = 5 where id = 2');
    await source.query('insert into ordinary values (3, 3, 3)');
    await source.query('insert into spread values (3, 3, 3, 3)');
    await run(rules);
    await expectEqual(['widest', 'ordinary']);
    await replica.targetAdmin.query('alter table raw.widest add constraint small check (c3 < 9)');
    await source.query('update widest set c3 = if(id = 2, 9, 1)');
    await run(rules);
    const around = await replica.targetAdmin.query('select id, c3 from raw.widest order by id');
    expect(around.rows).toEqual([
      { id: 1, c3: 1 },
      { id: 2, c3: null },
      { id: 3, c3: 1 },
    ]);
    const { rows } = await replica.targetAdmin.query(
      `select (select count(*)::int from raw.too_wide where c1597 = 5) as wide,
              (select array_agg(id || ' ' || coalesce("XMAX", 0) order by id) from raw.spread) as spread`,
    );
    expect(rows).toEqual([{ wide: 1, spread: ['1 0', '2 0', '3 3'] }]);
    await replica.resetTarget();
    await source.query('drop table widest, too_wide, spread, stamped, ordinary');
  });

  test('is a row larger than a page: it is a dead letter with this reason, and the others are replicated', async () => {
    await source.query(`create table wide_text (id int primary key, ${wideText}) engine=MyISAM default charset=latin1`);
    await source.query(`insert into wide_text (id, c0) values (1, 'a')`);
    await source.query(`insert into wide_text values (2, ${longText})`);
    await run();
    await source.query(`insert into wide_text values (3, ${longText})`);
    await source.query(`insert into wide_text (id, c899) values (4, 'd')`);
    await run();
    const { rows } = await replica.targetAdmin.query(
      `select convert_from(key, 'utf8') as key, sqlstate, reason from tidegate_raw.dead_letters order by 1`,
    );
    const deadLetter = {
      sqlstate: '54000',
      reason: expect.stringContaining('8 kB for a row without its large values'),
    };
    expect(rows).toEqual([
      { key: '2', ...deadLetter },
      { key: '3', ...deadLetter },
    ]);
    expect((await replica.targetAdmin.query('select id from raw.wide_text order by id')).rows).toEqual([
      { id: 1 },
      { id: 4 },
    ]);
    await replica.resetTarget();
    await source.query('drop table wide_text');
  });

  test('is a key too long for an index: the table is suspended, and after a backfill replicated without such rows', async () => {
    await source.query(
      'create table long_key (id varchar(3000) character set latin1 primary key, n int) engine=InnoDB default charset=latin1 row_format=dynamic',
    );
    await source.query(`insert into long_key values (${longKey(0)}, 1), ('short', 2)`);
    await run();
    const reason = async () =>
      (
        await replica.targetAdmin.query<{ reason: string | null }>(
          `select reason from tidegate_raw.tables where table_name = 'long_key'`,
        )
      ).rows[0]?.reason;
    expect(await reason()).toContain('a key longer than the limit of a PostgreSQL index');
    const backfill = await runCli(['backfill', 'long_key'], replica.env);
    expect(backfill.code, backfill.stdout + backfill.stderr).toBe(0);
    await source.query(`insert into long_key values (${longKey(1_000)}, 3), ('also short', 4)`);
    await run();
    expect(await reason()).toBeNull();
    const { rows } = await replica.targetAdmin.query('select n from raw.long_key order by n');
    expect(rows).toEqual([{ n: 2 }, { n: 4 }]);
    const deadLetters = await replica.targetAdmin.query(
      'select sqlstate, count(*)::int as n from tidegate_raw.dead_letters group by 1',
    );
    expect(deadLetters.rows).toEqual([{ sqlstate: '54000', n: 2 }]);
    await replica.resetTarget();
    await source.query('drop table long_key');
  });

  test('is a row of hundreds of megabytes: up to 200 MB are replicated, and a larger one is a dead letter without its image until a rule omits the column', async () => {
    const deadLetters = async () =>
      (
        await replica.targetAdmin.query(
          `select convert_from(key, 'utf8') as key, length(row) as kept, reason from tidegate_raw.dead_letters`,
        )
      ).rows;
    const dead = [{ key: '3', kept: 0, reason: expect.stringMatching(/^the row has 2\d\d MB, and .* 200 MB/) }];
    const replicated = async () =>
      (await replica.targetAdmin.query('select id, length(big), n from raw.huge order by id')).rows;
    // Other suites use this server, too.
    const [[before]] = await source.query<RowDataPacket[]>('select @@global.max_allowed_packet as bytes');
    await source.query('set global max_allowed_packet = 1073741824');
    const writer = await replica.sourceAdmin();
    try {
      await writer.query('create table huge (id int primary key, big longtext, n int) engine=MyISAM');
      await writer.query(`insert into huge values (1, 'a', 1)`);
      await run();
      await writer.query(`insert into huge values (2, repeat('b', 199000000), 2)`);
      await run();
      expect(await replicated()).toEqual([
        { id: 1, length: 1, n: 1 },
        { id: 2, length: 199_000_000, n: 2 },
      ]);
      await writer.query(`insert into huge values (3, repeat('c', 200000000), 3)`);
      await run();
      expect(await deadLetters()).toEqual(dead);
      await replica.resetTarget();
      await run();
      expect(await deadLetters()).toEqual(dead);
      await replica.resetTarget();
      await run('huge.big=omit');
      await writer.query('update huge set n = 4 where id = 3');
      await run('huge.big=omit');
      const { rows } = await replica.targetAdmin.query('select id, n from raw.huge order by id');
      expect(rows).toEqual([
        { id: 1, n: 1 },
        { id: 2, n: 2 },
        { id: 3, n: 4 },
      ]);
    } finally {
      await source.query(`set global max_allowed_packet = ${before?.['bytes']}`);
      await writer.query('drop table if exists huge');
      await writer.end();
    }
    await replica.resetTarget();
  });
});
