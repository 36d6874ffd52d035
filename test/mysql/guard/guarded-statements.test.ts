import fc from 'fast-check';
import mysql, { type Connection, type RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SourceServer } from '../../../testing/servers/server.ts';
import { startSource } from '../../../testing/servers/source.ts';
import { assertAllowedStatement, assertPlainCondition } from '../../../src/mysql/guard/statement-guard.ts';

/** A fixed seed gives the same statements in every run. */
const seed = 20_260_101;
const tries = 300_000;

/** Words are inserted between these tokens. */
const statements = [
  'select|a|,|b|as|x|from|d|.|t|force|index|(|primary|)|where|a|>|1|and|b|<>|2|order|by|a|limit|5',
  'select|distinct|upper(|b|)|as|x|from|d|.|t|where|b|like|1|or|a|is|not|null',
  'select|count(|*|)|as|n|,|now(|6|)|as|at|from|t',
  'select|unix_timestamp(|)|+|1|as|n',
  'show|global|variables|like|1',
  'show|global|status|where|variable_name|in|(|1|)',
  'show|create|table|`d`|.|`t`',
  'show|grants',
  'set|role|none',
  'set|session|lock_wait_timeout|=|2|,|net_write_timeout|=|5',
  'set|session|transaction|isolation|level|repeatable|read|,|read|only',
  'set|@slave_connect_state|=|1',
  'start|transaction|with|consistent|snapshot',
  'commit',
].map((statement) => statement.replaceAll('|1|', "|'1'|").split('|'));
const conditions = [
  'a|>|1|and|b|<>|2|or|not|a|in|(|1|,|2|)',
  'substring(|b|,|1|,|2|)|like|3|and|trim(|b|)|=|4|and|mod(|a|,|2|)|=|1',
].map((condition) => condition.split('|'));

/** The forms in which a word W of the server is inserted. */
const forms = [
  ...[
    'W',
    'W()',
    'W ()',
    'W(1)',
    'W (1)',
    "W ('s')",
    'W(a)',
    'W (a, 1, 1)',
    'W s',
    'W for s',
    'W (s)',
    'W value for s',
    'W t',
  ],
  ...[
    's.W',
    '`s`.`W`',
    '`W`',
    '`W`(1)',
    'd.W(1)',
    '@W',
    '@@W',
    '@@global.W',
    '@@session.W',
    '@W :=',
    'W =',
    'as W',
    ', W',
    'W(b',
    'W (b',
  ],
];

/** Stored functions with the names of permitted functions: the server must never call them. */
const traps = [
  'count',
  'max',
  'now',
  'substring',
  'trim',
  'upper',
  'mod',
  'unix_timestamp',
  'current_role',
  'gtid_subset',
  'gtid_subtract',
];

const modes = ['', 'ANSI_QUOTES,PIPES_AS_CONCAT', 'NO_BACKSLASH_ESCAPES', 'IGNORE_SPACE,HIGH_NOT_PRECEDENCE', 'ORACLE'];

/** A server where an administrator runs everything that the guard accepts, in a session that may write. */
class Trial {
  readonly #server: SourceServer;
  #admin!: Connection;
  /** A session that a lock would block. */
  #other!: Connection;

  constructor(server: SourceServer) {
    this.#server = server;
  }

  async prepare(): Promise<void> {
    const { host, port, user, password, flavor } = this.#server;
    const connect = async () =>
      await mysql.createConnection({ host, port, user, password, charset: 'utf8mb4_general_ci' });
    this.#admin = await connect();
    this.#other = await connect();
    const run = async (sql: string) => await this.#admin.query(sql);
    await run('create database d');
    await run('use d');
    await run('set global log_bin_trust_function_creators = 1');
    await run('create table t (a int not null primary key, b varchar(20)) engine=InnoDB');
    await run("insert into t values (1, 'x'), (2, 'y')");
    await run('create table trapped (name varchar(30)) engine=InnoDB');
    if (flavor === 'mariadb') await run('create sequence s nocache');
    await run("set session sql_mode = ''");
    for (const name of traps)
      await run(
        `create function \`${name}\` (x text) returns text deterministic begin insert into trapped values ('${name}'); return 1; end`,
      );
  }

  async end(): Promise<void> {
    this.#admin.destroy();
    this.#other.destroy();
    await this.#server.stop();
  }

  /** Every keyword and function name of the server. */
  async words(): Promise<string[]> {
    const tables = this.#server.flavor === 'mariadb' ? ['keywords', 'sql_functions'] : ['keywords'];
    const found: string[] = [];
    for (const table of tables) {
      const [rows] = await this.#admin.query<RowDataPacket[]>(`select * from information_schema.${table}`);
      found.push(...rows.map((row) => String(row['WORD'] ?? row['FUNCTION'])));
    }
    return found.filter((word) => /^\w+$/.test(word));
  }

  /** Runs a statement in a session that may write, and returns its result or error. */
  async run(sql: string): Promise<unknown> {
    const result = await this.#admin.query(sql).catch((error: unknown) => error);
    if (/transaction/i.test(sql)) await this.#admin.query('set session transaction read write');
    return result;
  }

  /** The traces that any change or lock of a statement leaves. */
  async traces(): Promise<unknown> {
    const ask = async (sql: string) => (await this.#admin.query<RowDataPacket[]>(sql))[0];
    const locked = await this.#other.query('select a from d.t for update nowait').catch((error: unknown) => error);
    await this.run('commit');
    const [status] = await ask(this.#server.flavor === 'mysql' ? 'show binary log status' : 'show master status');
    const settings = await ask('show session variables');
    return {
      position: [status?.['File'], status?.['Position']],
      isLocked: locked instanceof Error,
      settings: settings
        .map((row) => `${row['Variable_name']}=${row['Value']}`)
        .filter(
          (line) =>
            !/^(timestamp|rand_seed|last_insert_id|insert_id|identity|pseudo_thread_id|error_count|statement_id|warning_count|last_gtid|in_transaction|gtid_|innodb_)/.test(
              line,
            ),
        ),
    };
  }

  async mode(mode: string): Promise<boolean> {
    return !((await this.run(`set session sql_mode = '${mode}'`)) instanceof Error);
  }
}

function isAllowed(check: () => void): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

/** The statements and conditions with a word of the servers in them that the guard accepts. */
function letThrough(words: readonly string[]): string[] {
  const passed = new Set<string>();
  const mutant = (of: readonly (readonly string[])[]) =>
    fc
      .tuple(fc.constantFrom(...of), fc.constantFrom(...words), fc.constantFrom(...forms), fc.nat(), fc.nat({ max: 2 }))
      .map(([tokens, word, form, position, replaced]) => {
        const at = position % (tokens.length + 1);
        return [...tokens.slice(0, at), form.replaceAll('W', word), ...tokens.slice(at + replaced)].join(' ');
      });
  const collect = (
    of: fc.Arbitrary<string>,
    numRuns: number,
    check: (text: string) => void,
    statementOf: (text: string) => string,
  ) =>
    fc.assert(
      fc.property(of, (text) => {
        if (isAllowed(() => check(text))) passed.add(statementOf(text));
      }),
      { seed, numRuns },
    );
  collect(mutant(statements), tries * 0.7, assertAllowedStatement, (text) => text);
  collect(
    mutant(conditions),
    tries * 0.3,
    (text) => assertPlainCondition(text, ['a', 'b']),
    (text) => `select a from d.t where (${text})`,
  );
  return [...passed];
}

describe('whatever the guard accepts changes nothing and locks nothing, even in a session with all rights', () => {
  const trials: Trial[] = [];

  beforeAll(async () => {
    for (const server of [
      { flavor: 'mariadb', version: '10.11' } as const,
      { flavor: 'mysql', version: '9.7' } as const,
    ]) {
      const trial = new Trial(await startSource(server));
      trials.push(trial);
      await trial.prepare();
    }
  });

  afterAll(async () => {
    for (const trial of trials) await trial.end();
  });

  test('with every word of the servers at every position', async () => {
    const words = new Set<string>();
    for (const trial of trials) for (const word of await trial.words()) words.add(word);
    expect(words.size).toBeGreaterThan(900);
    const passed = letThrough([...words]);
    expect(passed.length).toBeGreaterThan(1_000);
    for (const trial of trials) {
      for (const mode of modes) {
        if (!(await trial.mode(mode))) continue;
        for (const tokens of statements) await trial.run(tokens.join(' '));
        const before = await trial.traces();
        for (const sql of passed) await trial.run(sql);
        expect(await trial.traces()).toEqual(before);
      }
    }
  });

  test('a change or a lock would be detected', async () => {
    for (const trial of trials) {
      await trial.mode('');
      for (const sql of [
        'select trim (b) from d.t',
        'select a from t for update',
        'set session sort_buffer_size = 1048576',
      ]) {
        const before = await trial.traces();
        await trial.run('start transaction');
        await trial.run(sql);
        expect(await trial.traces(), sql).not.toEqual(before);
      }
    }
  });
});
