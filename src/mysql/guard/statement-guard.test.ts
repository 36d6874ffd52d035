import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TableSchema } from '../../definition/table-schema.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { tableCodec } from '../../mapping/table-codec.ts';
import { chunkQuery } from '../chunk/chunk-query.ts';
import { quoteName, quoteText } from '../identifiers.ts';
import { innodbSetting, sessionSettings } from '../session-settings.ts';
import { assertAllowedStatement, assertPlainCondition } from './statement-guard.ts';

const versions = [
  { flavor: 'mariadb', major: 10, minor: 5 },
  { flavor: 'mariadb', major: 11, minor: 8 },
  { flavor: 'mysql', major: 5, minor: 6 },
  { flavor: 'mysql', major: 9, minor: 7 },
  null,
] as const;

describe('assertAllowedStatement', () => {
  it.each([
    ...new Set(
      versions.flatMap((version) => [...sessionSettings(version, 'reader'), ...sessionSettings(version, 'replicator')]),
    ),
    innodbSetting,
    'select version() as version',
    'show grants',
    'show grants for current_user() using `looker`@`%`',
    'select current_role() as role',
    'set role none',
    'set role NONE',
    'set role `o``clock`',
    'set role `a`@`%`,`b`@`10.%`',
    "select distinct privileges as held from information_schema.columns where table_schema = 'clinic'",
    "select table_name as t, engine as e, table_rows as n from information_schema.tables where table_schema = 'a''b' and table_type = 'BASE TABLE' order by table_name",
    "select table_name as t, column_name as name from information_schema.statistics\n      where table_schema = 'ä\\\\' and index_name = 'PRIMARY' order by table_name, seq_in_index",
    "show create table `clinic`.`it's -- here`",
    "show global variables like 'innodb_native_foreign_keys'",
    "show global variables where variable_name in ('version', 'gtid_mode')",
    "show global status where variable_name in ('Slave_running', 'Slaves_running')",
    'show global variables',
    'show master status',
    'show binary log status',
    'show binary logs',
    "select binlog_gtid_pos('binlog.000001', 4) as gtid",
    'select @@global.gtid_executed as gtid',
    "select gtid_subset(@@global.gtid_purged, 'a:1-5') as kept,\n              gtid_subset('a:1-5', @@global.gtid_executed) as known",
    'select unix_timestamp() as clock',
    'start transaction with consistent snapshot',
    "show status like 'binlog_snapshot_%'",
    'commit',
    // zongji's
    'SELECT VERSION() AS version',
    'select @@GLOBAL.binlog_checksum as checksum',
    'set @master_binlog_checksum=@@global.binlog_checksum',
    'SELECT 1',
    'SET @mariadb_slave_capability=4',
    "SET @slave_connect_state='0-1-2,1-1-3'",
    "set @master_heartbeat_period = 1000000000, @source_heartbeat_period = 1000000000, @master_binlog_checksum = 'CRC32'",
  ])('lets through %s', (sql) => {
    expect(() => assertAllowedStatement(sql)).not.toThrow();
  });

  it('lets through every chunk, whatever the names are', () => {
    const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter((text) => !text.includes('\0'));
    const key = fc.constantFrom(
      ...[
        ['bigint', '-9223372036854775808'],
        ['double', '-1.5e-300'],
        ['double', '1e22'],
        ['decimal', '0.10'],
      ],
      ...[
        ['varchar', "_utf8mb4 x'27'"],
        ['varbinary', "x''"],
        ['bit', '0x00ff'],
        ['datetime', "'2026-01-01 00:00:00.5'"],
      ],
    );
    fc.assert(
      fc.property(
        name,
        name,
        fc.array(fc.tuple(name, key), { minLength: 1, maxLength: 32 }),
        fc.option(name, { nil: undefined }),
        fc.boolean(),
        (database, table, keys, keyIndex, first) => {
          const columns = keys.map(([column, [type = '']]) => ({
            ...{ name: column, type, fullType: type, nullable: false, charset: 'utf8mb4' },
            ...{ length: 4, precision: 8, scale: 2, fraction: 0 },
          }));
          const schema: TableSchema = {
            table,
            columns: [...columns, { ...columns[0]!, type: 'float' }],
            primaryKey: keys.map((_, index) => index),
            ...(keyIndex === undefined ? {} : { keyIndex }),
          };
          const codec = tableCodec(schema);
          if ('refused' in codec) throw new Error(codec.refused.map(({ reason }) => reason).join());
          const after = first ? null : keys.map(([, [, literal = '']]) => literal);
          assertAllowedStatement(chunkQuery(database, codec, after, 500));
          assertAllowedStatement(`show create table ${quoteName(database)}.${quoteName(table)}`);
        },
      ),
      { seed: 1, numRuns: 300 },
    );
  });

  it('lets through a text with any character that a name or a GTID set may hold', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        // eslint-disable-next-line no-control-regex
        if (/[\x00-\x1f\x7f]/.test(text)) return;
        assertAllowedStatement(`show global variables like ${quoteText(text)}`);
      }),
      { seed: 1, numRuns: 500 },
    );
    const gtids = Array.from({ length: 12_000 }, (_, n) => `3e11fa47-71ca-11e1-9e33-c80aa9429562:${n}`).join(',');
    assertAllowedStatement(`select gtid_subset('${gtids}', '${gtids.slice(0, 300_000)}') as known`);
  });

  it.each([
    ['select 1; select 2', 'more than one statement'],
    ['select 1;', 'more than one statement'],
    ['select /*! sleep(5) */ 1', 'comments'],
    ['select /*M!100100 sleep(5) */ 1', 'comments'],
    ['select 1 -- x', 'comments'],
    ['select 1 # x', 'comments'],
    ['select /* plain */ 1', 'comments'],
    ['select 1--1', 'comments'],
    ['select a from t for update', 'after the end'],
    ['select a from t for share', 'after the end'],
    ['select a from t lock in share mode', 'after the end'],
    ['select a from t limit 1 for update skip locked', 'after the end'],
    ["select a from t into outfile '/tmp/x'", 'after the end'],
    ["select a into dumpfile '/tmp/x' from t", 'after the end'],
    ['select a from t into @x', 'after the end'],
    ['select a from t procedure analyse()', 'after the end'],
    ['select a from t union select b from u', 'after the end'],
    ['select a from t, u', 'after the end'],
    ['select a from t join u', 'after the end'],
    ['select * from t', 'a column, a literal or a function is missing'],
    ['select @x := 1', 'assignments'],
    ['select @x', 'a column, a literal or a function is missing'],
    ['select @@session.sql_mode', 'a column, a literal or a function is missing'],
    ['select @@global.datadir', 'a system variable that is not on the list'],
    ['select sleep(1)', 'a function that is not on the list'],
    ['select SLEEP (1)', 'a function that is not on the list'],
    ['select `sleep`(1)', 'a function that is not on the list'],
    ['select mysql.sleep(1)', 'qualified by another name'],
    ['select trim (a)', 'a space between'],
    ['select now\n(6)', 'a space between'],
    ['select s.nextval', 'qualified by another name'],
    ['select `s`.`nextval` from t', 'qualified by another name'],
    ['select a from t order by t.a', 'after the end'],
    ['select benchmark(1000000, md5(1))', 'a function that is not on the list'],
    ["select get_lock('a', 1)", 'a function that is not on the list'],
    ["select load_file('/etc/passwd')", 'a function that is not on the list'],
    ['select nextval(s)', 'a function that is not on the list'],
    ['select next value for s', 'is missing'],
    ["select master_pos_wait('a', 1)", 'a function that is not on the list'],
    ['select current_timestamp', 'is missing'],
    ['select (select 1)', 'is missing'],
    ['select a from t where exists (select 1)', 'a function that is not on the list'],
    ['select case when 1 then 2 end', 'is missing'],
    ['select {fn sleep(1)}', 'a character that has no meaning here'],
    ['select "a" from t', 'double quotes'],
    [String.raw`select '\' or sleep(1) or \''`, 'a quote that is not closed'],
    ["select 'a' 'b'", 'after the end'],
    ["select 'a", 'a quote that is not closed'],
    ["select 'a''", 'without a space between'],
    ["select n'a'", 'without a space between'],
    ["select _latin1'a'", 'without a space between'],
    ["select _latin1 'a'", 'after the end'],
    ["select b'1'", 'without a space between'],
    ['select 1a', 'without a space between'],
    ['select a || b', 'operators'],
    ['select a && b', 'operators'],
    ['select !a', 'operators'],
    ['select \u00a01', 'plain ASCII'],
    ['\u200bselect 1', 'plain ASCII'],
    ['select \uff53\uff4c\uff45\uff45\uff50(1)', 'plain ASCII'],
    ['select \u017fleep(1)', 'plain ASCII'],
    ['select 1 from mysql.user', 'a table of the server itself'],
    ['select 1 from `MySQL`.user', 'a table of the server itself'],
    ['select 1 from information_schema.processlist', 'a table of the server itself'],
    ['select a from t force index (other)', 'something other than one index'],
    ['select a from t force index (`k`, `l`)', 'something other than one index'],
    ['select a from t force index (`k`.`l`)', 'something other than one index'],
    ["select a from t force index ('k')", 'something other than one index'],
    ['select a from t force index ()', 'something other than one index'],
    ['select a from t force index (`k`', 'something other than one index'],
    ['select a from t force key (`k`)', 'something other than one index'],
    ['select a from t force index for order by (`k`)', 'something other than one index'],
    ['select a from t force index (`k`) force index (`l`)', 'after the end'],
    ['select a from t use index (`k`)', 'after the end'],
    [`select ${'('.repeat(200)}1${')'.repeat(200)}`, 'too deep'],
    [`select ${' '.repeat(1_100_000)}1`, 'longer'],
    ['', 'a kind of statement'],
    ['insert into t values (1)', 'a kind of statement'],
    ['set global read_only = 0', 'a kind of statement'],
    ['set session sql_log_bin = 0', 'a session variable'],
    ['set session transaction_read_only = 0', 'a session variable'],
    ['set session max_statement_time = 0', 'a session variable'],
    ["set session sql_mode = 'ANSI_QUOTES'", 'a session variable'],
    ['set session lock_wait_timeout = 31536000', 'a session variable'],
    ['set session lock_wait_timeout = 1, global read_only = 0', 'SET SESSION without a value'],
    ["set session time_zone = '+00:00', @x = 1", 'a session variable'],
    ['set transaction_read_only = 0', 'a kind of statement'],
    ['set session transaction isolation level repeatable read, read write', 'a kind of statement'],
    ['set session transaction isolation level serializable', 'a kind of statement'],
    ['set names gbk', 'a kind of statement'],
    ['set role all', 'a kind of statement'],
    ["set password = 'x'", 'a kind of statement'],
    ['start transaction', 'a kind of statement'],
    ['start transaction read write', 'a kind of statement'],
    ['rollback', 'a kind of statement'],
    ['begin', 'a kind of statement'],
    ['shutdown', 'a kind of statement'],
    ['show full processlist', 'a kind of statement'],
    ['show create user `a`', 'a kind of statement'],
    ["call p('x')", 'a kind of statement'],
    ['handler t open', 'a kind of statement'],
    ['do sleep(1)', 'a kind of statement'],
    ['flush tables with read lock', 'a kind of statement'],
    ['lock tables t read', 'a kind of statement'],
    ['kill 5', 'a kind of statement'],
    ['(select 1)', 'a kind of statement'],
    ['with x as (select 1) select 1', 'a kind of statement'],
    ['table t', 'a kind of statement'],
    ["prepare s from 'select 1'", 'a kind of statement'],
    ["set statement max_statement_time = 1 for select 'x'", 'a kind of statement'],
  ])('refuses %.60s by the rule, and shows nothing of the statement', (sql, rule) => {
    expect(messageOf(() => assertAllowedStatement(sql))).toContain(rule);
  });

  it('shows neither a name nor a value in its message', () => {
    const { message, hint } = errorOf(() => assertAllowedStatement("select canary('canary') from canary where canary"));
    expect(message + hint).not.toContain('canary');
  });
});

describe('assertPlainCondition', () => {
  const columns = ['PatNum', 'LName', 'DateTStamp', 'Bal Total'];
  const check = (condition: string) => assertPlainCondition(condition, columns);

  it.each([
    'PatNum > 100',
    "patnum between 1 and 100 and not (LName like 'S%')",
    "DateTStamp >= '2026-01-01' or DateTStamp is null",
    "`LName` in ('a', 'b', 'it''s') and PatNum % 10 = 3",
    'coalesce(`Bal Total`, 0) <> -1.5e3',
    "date(DateTStamp) = '2026-01-05' and lower(trim(LName)) <=> 'x'",
    "LName not in (x'41', 0x42) xor PatNum is not true",
    'char_length(LName) div 2 = 1',
  ])('lets through %s', (condition) => {
    expect(() => check(condition)).not.toThrow();
  });

  it.each([
    ['', 'is missing'],
    ['PatNum > 1)', 'after the end'],
    ['PatNum > 1) or (1', 'after the end'],
    ['(PatNum > 1', 'a parenthesis'],
    ['PatNum > 1 limit 1', 'after the end'],
    ['PatNum > 1 order by PatNum', 'after the end'],
    ['PatNum > 1; drop table t', 'more than one'],
    ['LName = Smith', 'not a column of the table'],
    ['other.PatNum = 1', 'qualified by another name'],
    ["trim (LName) = 'x'", 'a space between'],
    ['PatNum in (select 1)', 'is missing'],
    ['year(DateTStamp) = 2026', 'a function'],
    ['DateTStamp > now()', 'a function'],
    ['DateTStamp > unix_timestamp()', 'a function'],
    ['PatNum > rand()', 'a function'],
    ['sleep(1)', 'a function'],
    ['count(*) > 1', 'a function'],
    ['@@global.gtid_executed = 1', 'a system variable'],
    ['@x = 1', 'is missing'],
    ["LName regexp 'a'", 'after the end'],
    ['LName collate utf8mb4_bin = 1', 'after the end'],
    ['PatNum > 1 /* */', 'comments'],
    ['LName = "x"', 'double quotes'],
  ])('refuses %s', (condition, rule) => {
    expect(messageOf(() => check(condition))).toContain(rule);
  });

  it('shows what a condition may contain, and nothing of the refused one', () => {
    const { message, hint } = errorOf(() => check("LName = 'canary' and canary"));
    expect(hint).toContain('coalesce');
    expect(message + hint).not.toContain('canary');
  });
});

function errorOf(work: () => void): TidegateError {
  try {
    work();
  } catch (error) {
    if (error instanceof TidegateError) {
      expect(error.kind).toBe('refused');
      return error;
    }
    throw error;
  }
  throw new Error('it was let through');
}

function messageOf(work: () => void): string {
  return errorOf(work).message;
}
