import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assertAllowedStatement } from './statement-guard.ts';

/** The same statements in every run. */
const seed = 20_260_101;

function isAllowed(sql: string): boolean {
  try {
    assertAllowedStatement(sql);
    return true;
  } catch {
    return false;
  }
}

/** Allowed statements, split where something can be inserted: never inside a quote. */
const allowed = [
  "select|table_name|as|t|,|engine|as|e|from|information_schema.tables|where|table_schema|=|'clinic'|and|table_type|=|'BASE TABLE'|order|by|table_name",
  'select|`PatNum`|,|`f`|*|1e0|from|`clinic`|.|`patient`|force|index|(|primary|)|where|`PatNum`|>|12|order|by|`PatNum`|limit|500',
  "select|`a`|from|`d`|.|`t`|force|index|(|`k`|)|where|`a`|>|x'27'|order|by|`a`|limit|500",
  "select|`a`|from|`d`|.|`t`|where|`a`|>=|x'27'|and|(|`a`|>|x'27'|or|(|`a`|=|x'27'|and|`b`|>|_utf8mb4 x''|)|)|order|by|`a`|,|`b`|limit|1",
  "select|gtid_subset(|@@global.gtid_purged|,|'a:1-5'|)|as|kept",
  "show|global|variables|where|variable_name|in|(|'version'|,|'gtid_mode'|)",
  'show|create|table|`clinic`|.|`patient`',
  'show|grants|for|current_user|(|)|using|`r`|@|`%`',
  "set|session|time_zone|=|'+00:00'|,|sql_mode|=|''|,|lock_wait_timeout|=|2",
  'set|role|`r`',
  "set|@slave_connect_state|=|'0-1-2'",
  "set|@master_heartbeat_period|=|1000|,|@source_heartbeat_period|=|1000|,|@master_binlog_checksum|=|'CRC32'",
  'start|transaction|with|consistent|snapshot',
  'commit',
].map((statement) => statement.split('|'));

/** Fragments that write, lock, wait, leak or hide something. A space stands for any white space or comment. */
const cores = [
  'insert into t values (1) ¦ replace into t values (1) ¦ update t set a = 1 ¦ delete from t ¦ truncate table t ¦ drop table t',
  'create table t (a int) ¦ alter table t add b int ¦ rename table t to u ¦ call p() ¦ do sleep(1) ¦ handler t open ¦ kill 1',
  'load data infile "x" into table t ¦ lock tables t write ¦ unlock tables ¦ flush tables ¦ flush tables with read lock',
  'shutdown wait for all slaves ¦ grant all on *.* to u ¦ revoke all on *.* from u ¦ reset master ¦ stop slave ¦ use mysql',
  'set global read_only = 0 ¦ set @@global.read_only = 0 ¦ set persist x = 1 ¦ set sql_log_bin = 0 ¦ set transaction read write',
  'set session transaction read write ¦ start transaction read write ¦ begin work ¦ begin not atomic ¦ xa start 1 ¦ commit work',
  'purge binary logs to 1 ¦ change master to master_host = 1 ¦ install plugin a soname b ¦ prepare s from @a ¦ execute s',
  'execute immediate 1 ¦ analyze table t ¦ optimize table t ¦ repair table t ¦ backup stage start ¦ checksum table t',
  'for update ¦ for update nowait ¦ for share ¦ lock in share mode ¦ for update of t skip locked ¦ procedure analyse()',
  "into outfile '/tmp/x' ¦ into dumpfile '/tmp/x' ¦ into @x ¦ into local_variable ¦ @a := 1 ¦ (@a := @a + 1) ¦ := 1 ¦ @x ¦ @`x` := 1",
  "sleep(1) ¦ sleep (1) ¦ benchmark(1, 1) ¦ get_lock('a', 1) ¦ release_lock('a') ¦ release_all_locks() ¦ load_file('/etc/passwd')",
  "master_pos_wait('a', 4) ¦ master_gtid_wait('0-1-1') ¦ wait_for_executed_gtid_set('a:1') ¦ nextval(s) ¦ setval(s, 1) ¦ lastval(s)",
  "next value for s ¦ last_insert_id(1) ¦ sys_exec(1) ¦ extractvalue(1, '/a') ¦ db.f(1) ¦ `f`(1) ¦ rand() ¦ uuid() ¦ version ()()",
  'count (1) ¦ trim (a) ¦ now\n(6) ¦ + s.nextval ¦ + `s`.`nextval` ¦ + t.a ¦ sysdate ¦ rownum ¦ current_timestamp(6)',
  '(select 1) ¦ union select 1 ¦ union all select a from t ¦ exists (select 1) ¦ in (select sleep(1)) ¦ join u ¦ natural join u',
  'with recursive r as (select 1) ¦ over () ¦ group by a with rollup ¦ having 1 ¦ returning a ¦ partition (p) ¦ as of timestamp 1',
  String.raw`; ¦ ; drop table t ¦ ; select 1 ¦ \G ¦ delimiter // ¦ @@session.sql_mode ¦ @@sql_mode ¦ @@global.datadir ¦ \N ¦ \ ¦ ?`,
  "{fn sleep(1)} ¦ {d 1} ¦ || ¦ && ¦ !1 ¦ ~1 ¦ 1 << 1 ¦ 1 | 1 ¦ 1 ^ 1 ¦ 1 & 1 ¦ a -> '$.x' ¦ a ->> '$.x' ¦ a.*",
  "match (a) against (1) ¦ a regexp '(a+)+$' ¦ binary 1 ¦ collate x'00' ¦ interval 1 day ¦ cast('a' as char) ¦ case when 1 then 1 end",
  "\"text\" ¦ \" ¦ ' ¦ ` ¦ _latin1'a' ¦ _latin1 'a' ¦ _gbk 0xbf27 ¦ n'a' ¦ b'1' ¦ 'a' 'b' ¦ 'a' \"b\" ¦ x'1' ¦ x'zz' ¦ 0xg ¦ 1e",
  String.raw`'\' ¦ '\' or sleep(1) -- ' ¦ 'a\'b' ¦ '\\\' or sleep(1) or \' ¦ '\\' or sleep(1) or '\\' ¦ '\0' ¦ '\%'`,
  "\u00bf' ¦ '\0' ¦ `a\0` ¦ '\u001a' ¦ \0 ¦ \u00a0 ¦ \u3000 ¦ \u2028 ¦ \ufeff ¦ \u200b ¦ \u037e ¦ \u2019 ¦ \uff07 ¦ \uff02 ¦ \u02bc",
  '\uff53leep(1) ¦ \u017fleep(1) ¦ s\u200bleep(1) ¦ \uff1b drop table t ¦ \u2044\u2217 ¦ \uff0a ¦ \u212aill 1',
  '/**/ ¦ /* */ ¦ /*!50000 sleep(1) */ ¦ /*! ¦ /*M!100100 sleep(1) */ ¦ */ ¦ -- ¦ --\t ¦ --\n ¦ # ¦ /*+ max_execution_time(0) */',
].flatMap((line) => line.split(' ¦ '));

/** Characters that servers, or careless readers, treat as a space. */
const spaces = [' ', '  ', '\t', '\n', '\r\n', '\v', '\f', '/**/', '/*x*/', '/*!*/', '-- \n', '#\n', '\u00a0', '\0'];

const mixedCase = (text: string, bits: number) =>
  Array.from(text, (char, index) => ((bits >> (index % 30)) & 1 ? char.toUpperCase() : char.toLowerCase())).join('');

const core = fc
  .tuple(fc.constantFrom(...cores), fc.nat(), fc.constantFrom(...spaces), fc.nat({ max: 5 }))
  .map(([text, bits, space, change]) => {
    const cased = change === 0 ? text : mixedCase(text, bits);
    return cased.replaceAll(' ', change < 3 ? ' ' : space);
  });

/** A core between two tokens of an allowed statement, instead of some tokens, before it, after it, or alone. */
const hostile = fc
  .tuple(fc.constantFrom(...allowed), core, fc.nat(), fc.nat({ max: 3 }), fc.constantFrom(' ', '\n', ''), fc.nat())
  .map(([tokens, text, split, replaced, glue, bits]) => {
    const at = split % (tokens.length + 1);
    const before = mixedWords(tokens.slice(0, at), bits);
    const after = mixedWords(tokens.slice(at + replaced), bits);
    // Without a space, a quote would end in the next token, or a word would continue.
    const between = /['"`\w]/.test(text) ? ' ' : glue;
    return [before.join(' '), text, after.join(' ')].join(between);
  });

/** Changes the case of words. Quoted names and texts stay as they are. */
function mixedWords(tokens: readonly string[], bits: number): string[] {
  return tokens.map((token) => (/['`]/.test(token) ? token : mixedCase(token, bits)));
}

/** The ways in which a server may be configured to read quotes. */
const modes = [false, true].flatMap((ansiQuotes) =>
  [false, true].map((backslashEscapes) => ({ ansiQuotes, backslashEscapes })),
);

/** The code that a server in that mode reads. Texts become T, quoted names become N, and an unclosed quote stays. */
function codeOf(sql: string, { ansiQuotes, backslashEscapes }: (typeof modes)[number]): string {
  let code = '';
  for (let at = 0; at < sql.length; at++) {
    const quote = sql[at] as string;
    if (!`'"\``.includes(quote)) {
      code += quote;
      continue;
    }
    const isName = quote === '`' || (quote === '"' && ansiQuotes);
    let end = at + 1;
    for (; end < sql.length; end++) {
      if (sql[end] === '\\' && backslashEscapes && !isName) end++;
      else if (sql[end] === quote) {
        if (sql[end + 1] !== quote) break;
        end++;
      }
    }
    code += end < sql.length ? (isName ? 'N' : 'T') : quote;
    at = end;
  }
  return code;
}

/** Code that no statement of ours contains. */
const forbidden = /;|--|#|\/\*|\*\/|:=|\\|['"`]|sleep|into|for /i;

/** Texts and names full of quotes and escapes. They show whether their content can leave the quotes. */
const trick = fc
  .tuple(
    fc.constantFrom("'", "'", "'", '`', '"'),
    fc.array(
      fc.constantFrom(
        ...["'", "''", '\\', '\\\\', '"', '""', '`', '``', "\\'", '\\"', ' ', 'a', 'é', '\n', '\0', '%'],
        ...[
          ' or ',
          ' and ',
          '/*',
          '*/',
          '-- ',
          '#',
          ';',
          ' sleep(1) ',
          " into outfile '",
          ' for update',
          "') or ('",
          '(',
          ')',
          ',',
          '=',
          "x'",
        ],
      ),
      { maxLength: 8 },
    ),
    fc.boolean(),
  )
  .map(([quote, pieces, closed]) => quote + pieces.join('') + (closed ? quote : ''));

const tricky = fc
  .tuple(
    fc.constantFrom(
      'show global variables like ?',
      'select `a` from `d`.`t` where `b` = ? and `c` > ?',
      'select `a` from `d`.`t` force index (?) where `b` > ?',
      "show global variables where variable_name in (?, 'b', ?)",
      'show create table ?.?',
      'set role ?@?',
      'select ? as ?',
    ),
    trick,
    trick,
  )
  .map(([form, first, second]) => form.replace('?', () => first).replace('?', () => second));

describe('the statement guard', () => {
  test('lets through the statements that the hostile ones are derived from, in any case and spacing', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...allowed),
        fc.nat(),
        fc.constantFrom(' ', '  ', '\t', '\n', '\r\n'),
        (tokens, bits, space) => isAllowed(mixedWords(tokens, bits).join(space)),
      ),
      { seed, numRuns: 5_000 },
    );
  });

  test('lets none of 100,000 hostile statements through', () => {
    let tried = 0;
    fc.assert(
      fc.property(hostile, (sql) => {
        tried++;
        return !isAllowed(sql);
      }),
      { seed, numRuns: 100_000 },
    );
    expect(tried).toBeGreaterThanOrEqual(100_000);
  });

  test('lets nothing through that another sql_mode would read differently', () => {
    let through = 0;
    fc.assert(
      fc.property(tricky, (sql) => {
        if (!isAllowed(sql)) return;
        through++;
        const codes = new Set(modes.map((mode) => codeOf(sql, mode)));
        expect(codes.size).toBe(1);
        for (const code of codes) expect(code).not.toMatch(forbidden);
      }),
      { seed, numRuns: 50_000 },
    );
    // Otherwise the test would have shown nothing.
    expect(through).toBeGreaterThan(1_500);
  });

  test('is not held up by a quote that never ends', () => {
    for (const open of ["'", '`', "x'", "''"]) expect(isAllowed(`select ${open}${'ab'.repeat(200_000)}`)).toBe(false);
  });
});
