import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SourceServer } from '../../../testing/servers/server.ts';
import { startSource } from '../../../testing/servers/source.ts';
import { Streaming } from './support/streaming.ts';
import { sharedServers } from '../../support/shared-servers.ts';

const flavors = ['mariadb', 'mysql'] as const;
const row = 'id int not null primary key, a varchar(20), b varchar(20)';

interface Case {
  /** Only this flavor supports the statements. */
  readonly only?: (typeof flavors)[number];
  readonly made: readonly string[];
  /** The statements of one session, some as bytes in another character set. */
  readonly said: readonly (string | Buffer)[];
  /** Exactly these tables are suspended by it. */
  readonly suspended?: readonly string[];
}

const table = (name: string, engine = 'InnoDB') => [
  `create table \`${name}\` (${row}) engine=${engine}`,
  `insert into \`${name}\` values (1, 'one', 'x'), (2, 'one', 'y'), (3, 'three', 'z')`,
];
/** Columns of one type that swap; no row image shows it. */
const swap = 'modify a varchar(20) after b';

const cases: Readonly<Record<string, Case>> = {
  'a definition that a routine changes': {
    made: [...table('routine'), `create procedure redefine() begin alter table routine ${swap}; end`],
    said: ['call redefine()'],
    suspended: ['routine'],
  },
  'names between double quotes': {
    made: table('ansi'),
    said: [`set sql_mode = 'ANSI_QUOTES'`, `alter table "ansi" ${swap}`, `set sql_mode = default`],
    suspended: ['ansi'],
  },
  'a string that ends with a backslash': {
    made: table('plain'),
    said: [
      `set sql_mode = 'NO_BACKSLASH_ESCAPES'`,
      String.raw`alter table plain add index (a) comment '\', ${swap}, comment 'x'`,
      `set sql_mode = default`,
    ],
    suspended: ['plain'],
  },
  'a name in the character set of an old client': {
    made: [...table('täble'), ...table('tëble'), ...table('tible')],
    said: ['set names latin1', Buffer.from(`alter table täble ${swap}`, 'latin1'), 'set names utf8mb4'],
    // It is unknown which of the names with characters beyond ASCII was meant.
    suspended: ['tëble', 'täble'],
  },
  'rows that IGNORE drops': {
    only: 'mariadb',
    made: table('doubled'),
    said: ['alter ignore table doubled add unique (a)'],
    suspended: ['doubled'],
  },
  'an engine that keeps no rows': {
    only: 'mysql',
    made: table('lost'),
    said: ['alter table lost engine = BLACKHOLE'],
    suspended: ['lost'],
  },
  'a rebuild, and indexes': {
    made: table('rebuilt'),
    said: [
      'alter table rebuilt force',
      'alter table rebuilt engine = InnoDB, add index by_a (a)',
      'create index by_b on rebuilt (b)',
    ],
  },
  'rows changed through an existing MERGE table': {
    made: [
      ...table('part', 'MyISAM'),
      ...table('other_part', 'MyISAM'),
      ...table('apart', 'MyISAM'),
      `create table parts (${row.replace('primary key', '')}, key (id)) engine=MERGE union=(part, other_part) insert_method=last`,
    ],
    said: [`insert into parts values (9, 'through', 'it')`],
    suspended: ['other_part', 'part'],
  },
  'a MERGE table that is created later': {
    made: [...table('late_part', 'MyISAM'), ...table('late_apart', 'MyISAM')],
    said: [
      `create table late_parts (${row.replace('primary key', '')}, key (id)) engine=MERGE union=(late_part)`,
      `update late_parts set a = 'through' where id = 1`,
    ],
    suspended: ['late_part'],
  },
  'a temporary table of the same name': {
    made: table('shadowed'),
    said: [
      `create temporary table shadowed (id int primary key)`,
      'insert into shadowed values (77)',
      'alter table shadowed add column z int',
      'truncate shadowed',
      'drop table shadowed',
    ],
  },
  'a temporary table of the same name where statements are logged': {
    only: 'mariadb',
    made: table('eclipsed'),
    said: [
      `set session binlog_format = 'MIXED'`,
      'create temporary table eclipsed (id int primary key)',
      'truncate eclipsed',
      'drop table eclipsed',
      `set session binlog_format = 'ROW'`,
    ],
    suspended: ['eclipsed'],
  },
  'a table that is created if it does not exist': {
    made: table('there'),
    said: [
      'create table if not exists there (id int primary key)',
      'create table if not exists there like shadowed',
      `insert into there values (9, 'nine', '')`,
    ],
  },
  'a table that replaces another': {
    only: 'mariadb',
    made: table('replaced'),
    said: ['create or replace table replaced (id int primary key, n int)', 'insert into replaced values (1, 2)'],
    suspended: ['replaced'],
  },
  'tables that change names in a circle': {
    made: [...table('east'), ...table('west')],
    said: ['rename table east to aside, west to east, aside to west', `insert into east values (9, 'nine', '')`],
    suspended: ['east', 'west'],
  },
  'several tables dropped at once, one of which does not exist': {
    made: [...table('gone'), ...table('gone_too')],
    said: ['drop table if exists gone, never, gone_too'],
    suspended: ['gone', 'gone_too'],
  },
  'a truncated partition, and one that is exchanged with a table': {
    made: [
      `create table parted (${row}) partition by range (id) (partition low values less than (10), partition high values less than (99))`,
      `create table swapped (${row}) partition by range (id) (partition low values less than (10), partition high values less than (99))`,
      ...table('inside'),
    ],
    said: ['alter table parted truncate partition low', 'alter table swapped exchange partition low with table inside'],
    suspended: ['inside', 'parted', 'swapped'],
  },
  'unique keys that push rows aside': {
    made: [
      'create table pushed (id int not null primary key, a int unique, b int unique, label varchar(20))',
      `insert into pushed values (1, 1, 1, 'x'), (2, 2, 2, 'y'), (3, 3, 3, 'z')`,
    ],
    said: [
      `replace into pushed values (7, 1, 2, 'two in one')`,
      `insert into pushed values (8, 3, 9, 'q') on duplicate key update label = 'moved', id = 77`,
      `insert ignore into pushed values (9, 9, 3, 'ignored')`,
      'update pushed set id = id + 100 order by id desc',
    ],
  },
  'triggers and routines': {
    made: [
      ...table('watched'),
      'create table watched_log (id int auto_increment primary key, ref int, what varchar(60))',
      `create trigger watch after insert on watched for each row insert into watched_log (ref, what) values (new.id, uuid())`,
      `create procedure twice() begin insert into watched values (50, rand(), ''); update watched set b = left(uuid(), 20); end`,
    ],
    said: [`insert into watched values (10, 'a', ''), (11, 'b', '')`, 'call twice()'],
  },
  'a transaction that a definition ends, and one that is made of a select': {
    made: table('cut'),
    said: [
      'start transaction',
      `insert into cut values (10, 'kept', '')`,
      'create table cut_copy as select * from cut',
      `insert into cut values (11, 'kept', '')`,
      'rollback',
    ],
  },
  'an XA transaction': {
    made: [...table('prepared'), ...table('bystander')],
    said: [
      `xa start 'x'`,
      `insert into prepared values (10, 'a', '')`,
      `xa end 'x'`,
      `xa prepare 'x'`,
      `xa commit 'x'`,
      `insert into bystander values (10, 'a', '')`,
    ],
    suspended: ['prepared'],
  },
  'row images that are not full': {
    made: [...table('minimal'), ...table('full')],
    said: [
      `set session binlog_row_image = 'MINIMAL'`,
      `update minimal set a = 'q' where id = 1`,
      `set session binlog_row_image = 'FULL'`,
      `update full set a = 'q' where id = 1`,
    ],
    suspended: ['minimal'],
  },
  'both engines in a savepoint that is rolled back': {
    only: 'mariadb',
    made: [...table('kept'), ...table('stuck', 'MyISAM')],
    said: [
      'start transaction',
      'savepoint middle',
      `insert into kept values (10, 'undone', '')`,
      `insert into stuck values (10, 'not undone', '')`,
      'rollback to savepoint middle',
      'commit',
    ],
    suspended: ['kept'],
  },
  'a statement of thousands of rows over two tables': {
    made: [...table('wide'), ...table('wider')],
    said: [
      `insert into wide with recursive n as (select 10 as id union all select id + 1 from n where id < 900) select id, repeat('x', 20), '' from n`,
      'insert into wider select * from wide where id >= 10',
      `update wide, wider set wide.a = 'both', wider.b = 'both' where wide.id = wider.id`,
      'delete wide, wider from wide join wider using (id) where id % 3 = 0',
    ],
  },
  'tables that move between databases': {
    made: [...table('leaves'), ...table('stays')],
    said: [
      'create database {db}_elsewhere',
      `create table {db}_elsewhere.stays (${row})`,
      `insert into {db}_elsewhere.stays values (99, 'another', '')`,
      'truncate {db}_elsewhere.stays',
      'rename table leaves to {db}_elsewhere.leaves',
      'drop database {db}_elsewhere',
      `insert into stays values (9, 'nine', '')`,
    ],
    suspended: ['leaves'],
  },
};

/** After any statement at the source, each table is either suspended or equal. */
describe.each(flavors)('on %s, tables are suspended or equal after', (flavor) => {
  const possible = Object.entries(cases).filter(([, { only }]) => only === undefined || only === flavor);
  let source: SourceServer;
  let streaming: Streaming;
  let suspendedBefore: string[] = [];

  beforeAll(async () => {
    source = flavor === 'mariadb' ? sharedServers().source : await startSource({ flavor });
    streaming = await Streaming.start(
      async (admin) => {
        for (const [, { made }] of possible) for (const sql of made) await admin.query(sql);
      },
      { source, target: sharedServers().target },
    );
    await streaming.holdSuspended();
  });

  afterAll(async () => {
    await streaming?.end();
    await source?.stop();
  });

  test.each(possible)('%s', async (_, { said, suspended = [] }) => {
    const session = await streaming.newSourceSession();
    for (const sql of said)
      if (typeof sql === 'string') await session.query(sql.replaceAll('{db}', streaming.database));
      else {
        await session.query(`set @said = convert(x'${sql.toString('hex')}' using latin1)`);
        await session.query('prepare said from @said');
        await session.query('execute said');
      }
    await session.end();
    await streaming.caughtUp();
    const all = (
      await streaming.rows(
        `select table_name from tidegate_raw.tables where state = 'suspended' order by table_name collate "C"`,
      )
    ).map(([name]) => name ?? '');
    expect(all.filter((name) => !suspendedBefore.includes(name))).toEqual(suspended.toSorted());
    suspendedBefore = all;
    const replicated = (
      await streaming.rows(`select table_name from tidegate_raw.tables where state = 'streaming'`)
    ).flat();
    const differing = (await streaming.differences()).filter((line) => replicated.includes(line.split(':')[0] ?? ''));
    expect(differing).toEqual([]);
  });
});
