import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Streaming } from '../../pipeline/stream/support/streaming.ts';
import { runCli } from '../../support/cli.ts';
import { sequence } from '../../support/sequence.ts';
import { sharedServers } from '../../support/shared-servers.ts';
import { targetConfig } from '../../support/target-config.ts';
import { seeDeadLetters } from '../../../src/postgres/control/dead-letter-list.ts';
import { discardDeadLetters } from '../../../src/postgres/rows/dead-letter-actions.ts';
import { WritingSession } from '../../../src/postgres/session.ts';
import { Scope } from '../../../src/lifetime/scope.ts';

/** A lone surrogate encoded as UTF-8: MySQL and MariaDB accept it as text, PostgreSQL does not. */
const badText = `_utf8mb4 x'eda080'`;
/** Half surrogate pairs, as written by clients that confuse ucs2 with utf16 or count surrogates as characters. */
const halfPairs = { ucs2: `_ucs2 x'd83dde00'`, utf32: `_utf32 x'0000d83d'` };
const tables = [
  'copied',
  'streamed',
  'checked',
  'raced',
  'updated',
  'resolved',
  'emptied',
  'huge',
  'stated',
  'triggered',
];

let streaming: Streaming;

beforeAll(async () => {
  streaming = await Streaming.start(async (source) => {
    for (const table of tables)
      await source.query(
        `create table ${table} (id int not null, part varchar(10) not null, label varchar(50), note varchar(50), primary key (id, part)) engine=InnoDB default charset=utf8mb4`,
      );
    await source.query(
      `create table surrogates (id int not null primary key, ucs varchar(50) character set ucs2, utf varchar(50) character set utf32)`,
    );
    await source.query(`insert into surrogates values (1, ${halfPairs.ucs2}, null), (2, null, ${halfPairs.utf32})`);
    await source.query(
      `insert into copied values (1, 'a', 'one', null), (2, 'b', ${badText}, 'secret'), (3, 'c', 'three', null), (4, 'd', 'four', ${badText})`,
    );
  });
});

afterAll(async () => {
  await streaming?.end();
});

interface DeadLetter {
  readonly key: string;
  readonly column: string | null;
  readonly sqlState: string | null;
}

async function deadLetters(table: string): Promise<DeadLetter[]> {
  const rows = await streaming.rows(
    `select convert_from(key, 'utf8'), column_name, sqlstate from tidegate_raw.dead_letters where table_name = '${table}' order by key`,
  );
  return rows.map(([key, column, sqlState]) => ({
    key: key ?? '',
    column: column ?? null,
    sqlState: sqlState ?? null,
  }));
}

/** The number of sessions of Tidegate that wait for a lock. */
async function waiting(): Promise<number> {
  const [row] = await streaming.rows(
    `select count(*) from pg_stat_activity where application_name like 'tidegate%' and wait_event_type = 'Lock'
        and datname = current_database()`,
  );
  return Number(row?.[0]);
}

async function ids(table: string): Promise<number[]> {
  return (await streaming.rows(`select id from ${table} order by id`)).map(([id]) => Number(id));
}

describe('only a row that cannot be replicated becomes a dead letter', () => {
  test('in the snapshot', async () => {
    expect(await ids('copied')).toEqual([1, 3]);
    expect(await deadLetters('copied')).toEqual([
      { key: '2\tb', column: 'label', sqlState: null },
      { key: '4\td', column: 'note', sqlState: null },
    ]);
    expect(await streaming.tableState('copied')).toMatchObject({ state: 'streaming' });
  });

  test('in the stream, with the rest of its transaction applied; the log reports it without values', async () => {
    const { source } = streaming;
    await source.query('begin');
    await source.query(`insert into streamed values (1, 'a', 'one', null)`);
    await source.query(`insert into streamed values (2, 'b', ${badText}, 'secret')`);
    await source.query(`insert into streamed values (3, 'c', 'three', null)`);
    await source.query('commit');
    await streaming.caughtUp();
    expect(await ids('streamed')).toEqual([1, 3]);
    expect(await deadLetters('streamed')).toEqual([{ key: '2\tb', column: 'label', sqlState: null }]);
    const line = await streaming.logged('rows became dead letters', ({ table }) => table === 'streamed');
    expect(line).toMatchObject({ rows: 1 });
    expect(JSON.stringify(streaming.run.lines)).not.toContain('secret');
  });

  test('on both paths alike if the source has half a surrogate pair', async () => {
    const { ucs2, utf32 } = halfPairs;
    await streaming.source.query(
      `insert into surrogates values (3, ${ucs2}, null), (4, null, ${utf32}), (5, 'a', 'b')`,
    );
    await streaming.caughtUp();
    expect(await ids('surrogates')).toEqual([5]);
    const found = await deadLetters('surrogates');
    expect(found.map(({ key, column }) => `${key} ${column}`)).toEqual(['1 ucs', '2 utf', '3 ucs', '4 utf']);
  });

  test('refused by PostgreSQL: few rows, by a statement', async () => {
    await streaming.target.query(`alter table checked add constraint no_secret check (label <> 'secret')`);
    await streaming.source.query(
      `insert into checked values (1, 'a', 'one', null), (2, 'b', 'secret', null), (3, 'c', 'three', null)`,
    );
    await streaming.caughtUp();
    expect(await ids('checked')).toEqual([1, 3]);
    expect(await deadLetters('checked')).toEqual([{ key: '2\tb', column: null, sqlState: '23514' }]);
  });

  test('refused by PostgreSQL: many rows, by COPY and by the merge, including neighbours and both ends', async () => {
    const { source, target } = streaming;
    await target.query(`alter table updated add constraint no_secret check (label <> 'secret')`);
    const bad = [1, 2, 500, 501, 777, 2999, 3000];
    const label = `if(id in (${bad.join(', ')}), 'secret', concat('label ', id))`;
    await source.query(
      `insert into updated (id, part, label) select id, 'p', ${label} from (select seq as id from ${sequence(1, 3000)}) n order by id`,
    );
    await streaming.caughtUp();
    expect(
      (await deadLetters('updated')).map(({ key }) => Number(key.split('\t')[0])).toSorted((a, b) => a - b),
    ).toEqual(bad);
    expect(await streaming.rows('select count(*) from updated')).toEqual([['2993']]);
    await source.query(`update updated set label = if(id in (7, 8, 2500), 'secret', 'changed')`);
    await streaming.caughtUp();
    expect((await deadLetters('updated')).map(({ key, sqlState }) => [Number(key.split('\t')[0]), sqlState])).toEqual([
      [2500, '23514'],
      [7, '23514'],
      [8, '23514'],
    ]);
    // The previous version of a refused row stays.
    expect(await streaming.rows(`select label, count(*) from updated group by label order by label`)).toEqual([
      ['changed', '2997'],
      ['label 2500', '1'],
      ['label 7', '1'],
      ['label 8', '1'],
    ]);
  });

  test('refused by an immediate or deferred trigger, whether inserted or updated', async () => {
    const { source, target } = streaming;
    await target.query(
      `create function refuse() returns trigger language plpgsql as $$
         begin if new.label = 'secret' then raise 'no'; end if; return new; end $$;
       create constraint trigger at_commit after insert or update on triggered deferrable initially deferred
         for each row execute function refuse()`,
    );
    const write = async (bad: readonly number[], tag: string, statement: (label: string) => string) => {
      await source.query(statement(`if(id in (${bad.join(', ')}), 'secret', concat('${tag} ', id))`));
      await streaming.caughtUp();
      const found = await deadLetters('triggered');
      expect(found.map(({ key }) => Number(key.split('\t')[0])).toSorted((a, b) => a - b)).toEqual(bad);
      expect(new Set(found.map(({ sqlState }) => sqlState))).toEqual(new Set(['P0001']));
    };
    await write(
      [1, 2, 300, 999],
      'new',
      (label) =>
        `insert into triggered select id, 'p', ${label}, null from (select seq as id from ${sequence(1, 1000)}) n order by id`,
    );
    await write([7, 600, 601, 1000], 'changed', (label) => `update triggered set label = ${label}`);
    await target.query('drop trigger at_commit on triggered');
    await target.query(
      'create trigger at_once before insert or update on triggered for each row execute function refuse()',
    );
    await write([8, 256, 257], 'again', (label) => `update triggered set label = ${label}`);
    expect(await streaming.rows('select count(*) from triggered')).toEqual([['1000']]);
  });

  test('in a transaction too large for memory, which stays complete', async () => {
    const { source } = streaming;
    await source.query('begin');
    for (let part = 0; part < 6; part++)
      await source.query(
        `insert into huge select seq + ${part * 20_000}, 'p', if(seq = 7, ${badText}, repeat('x', 40)), repeat('y', 50) from ${sequence(1, 20_000)} order by seq`,
      );
    // This row is resolved later in the same transaction; others are refused by PostgreSQL in its last part.
    await source.query(`update huge set label = 'sound' where id = 7`);
    await streaming.target.query(`alter table huge add constraint no_secret check (note <> 'secret')`);
    await source.query(`update huge set note = 'secret' where id in (3, 60003)`);
    await source.query('commit');
    await streaming.caughtUp();
    expect((await deadLetters('huge')).map(({ key }) => Number(key.split('\t')[0])).toSorted((a, b) => a - b)).toEqual([
      3, 20_007, 40_007, 60_003, 60_007, 80_007, 100_007,
    ]);
    expect(await streaming.rows('select count(*) from huge')).toEqual([[String(120_000 - 5)]]);
  });
});

describe('a later image of the key resolves it', () => {
  test('an update, a delete, a change of its key', async () => {
    const { source } = streaming;
    await source.query(
      `insert into resolved values (1, 'a', ${badText}, null), (2, 'b', ${badText}, null), (3, 'c', ${badText}, null)`,
    );
    await streaming.caughtUp();
    expect((await deadLetters('resolved')).length).toBe(3);
    await source.query(`update resolved set label = 'sound' where id = 1`);
    await streaming.caughtUp();
    expect((await deadLetters('resolved')).map(({ key }) => key)).toEqual(['2\tb', '3\tc']);
    await source.query(`delete from resolved where id = 2`);
    await source.query(`update resolved set id = 4, label = 'moved' where id = 3`);
    await streaming.caughtUp();
    expect(await deadLetters('resolved')).toEqual([]);
    expect(await streaming.rows('select id, label from resolved order by id')).toEqual([
      ['1', 'sound'],
      ['4', 'moved'],
    ]);
  });

  test('a truncate', async () => {
    await streaming.source.query(`insert into emptied values (1, 'a', ${badText}, null)`);
    await streaming.caughtUp();
    expect((await deadLetters('emptied')).length).toBe(1);
    await streaming.source.query('truncate table emptied');
    await streaming.source.query(`insert into emptied values (2, 'a', ${badText}, null)`);
    await streaming.caughtUp();
    expect((await deadLetters('emptied')).map(({ key }) => key)).toEqual(['2\ta']);
  });

  test('also a dead letter of an earlier run', async () => {
    await streaming.restart();
    await streaming.source.query(`update copied set label = 'sound' where id = 2`);
    await streaming.caughtUp();
    expect((await deadLetters('copied')).map(({ key }) => key)).toEqual(['4\td']);
    expect(await ids('copied')).toEqual([1, 2, 3]);
  });
});

describe('dead letters are reported, retried and discarded', () => {
  test('list, lag and check name table, column and reason, and no value', async () => {
    await streaming.source.query(`insert into stated values (1, 'a', ${badText}, 'secret'), (2, 'b', 'sound', null)`);
    await streaming.caughtUp();
    const list = await runCli(['dead-letters', 'list', 'stated', '--json'], streaming.env);
    expect(JSON.parse(list.stdout)).toMatchObject({
      groups: [{ table: 'stated', column: 'label', sqlState: null, rows: 1 }],
      deadLetters: [{ table: 'stated', key: null, column: 'label' }],
    });
    const lag = await runCli(['lag', '--json'], streaming.env);
    expect((JSON.parse(lag.stdout) as { deadLetters: unknown[] }).deadLetters).toContainEqual(
      expect.objectContaining({ table: 'stated', column: 'label', rows: 1 }),
    );
    const check = await runCli(['check'], streaming.env);
    expect(check.stdout).toMatch(/warning {2}table stated: 1 row is a dead letter: column label/u);
    const words = await runCli(['dead-letters', 'list'], streaming.env);
    for (const { stdout } of [list, lag, check, words]) expect(stdout).not.toContain('secret');
    expect((await runCli(['dead-letters', 'list', 'unknown'], streaming.env)).stderr).toMatch(
      /no replicated table unknown/u,
    );
  });

  test('retry writes rows that the target no longer refuses, while the service runs; the others stay', async () => {
    await streaming.target.query('alter table checked drop constraint no_secret');
    const { code, stdout } = await runCli(['dead-letters', 'retry', 'checked', 'stated'], streaming.env);
    expect(stdout).toMatch(/checked: 1 of 1 written/u);
    expect(stdout).toMatch(/stated: 0 of 1 written/u);
    expect(code).toBe(1);
    expect(await streaming.rows('select id, label from checked order by id')).toEqual([
      ['1', 'one'],
      ['2', 'secret'],
      ['3', 'three'],
    ]);
    expect(await deadLetters('checked')).toEqual([]);
  });

  test('retry does not restore a row that is deleted meanwhile', async () => {
    const { source, target } = streaming;
    await target.query(`alter table raced add constraint no_two check (id <> 2)`);
    await source.query(`insert into raced values (2, 'b', 'two', null)`);
    await streaming.until(async () => (await deadLetters('raced')).length === 1, 'the row is a dead letter');
    await target.query(`alter table raced drop constraint no_two`);
    // Retry and stream both wait here, retry first.
    const holder = await streaming.newTargetSession();
    await holder.query(`begin; select from tidegate_raw.dead_letters where table_name = 'raced' for update`);
    const retried = runCli(['dead-letters', 'retry', 'raced'], streaming.env);
    await streaming.until(async () => (await waiting()) === 1, 'retry waits');
    await source.query(`delete from raced where id = 2`);
    await streaming.until(async () => (await waiting()) === 2, 'the stream waits');
    await holder.query('commit');
    await holder.end();
    expect((await retried).code).toBe(0);
    await streaming.caughtUp();
    expect(await ids('raced')).toEqual([]);
    expect(await deadLetters('raced')).toEqual([]);
  });

  test('retry leaves a dead letter that meanwhile belongs to a later image, which cannot be written', async () => {
    const { source, target } = streaming;
    await target.query(`alter table raced add constraint no_three check (id <> 3)`);
    await source.query(`insert into raced values (3, 'c', 'three', null)`);
    await streaming.until(async () => (await deadLetters('raced')).length === 1, 'the row is a dead letter');
    await target.query(`alter table raced drop constraint no_three`);
    const holder = await streaming.newTargetSession();
    await holder.query(
      `begin; update tidegate_raw.dead_letters set format = 'image', row = '\\xfc0300' where table_name = 'raced'`,
    );
    const retried = runCli(['dead-letters', 'retry', 'raced'], streaming.env);
    await streaming.until(async () => (await waiting()) === 1, 'retry waits');
    await holder.query('commit');
    await holder.end();
    expect(await retried).toMatchObject({ code: 1, stdout: expect.stringMatching(/raced: 0 of 1 written/u) });
    expect(await ids('raced')).toEqual([]);
    expect((await deadLetters('raced')).length).toBe(1);
    await source.query(`delete from raced where id = 3`);
    await streaming.until(async () => (await deadLetters('raced')).length === 0, 'the dead letter is resolved');
  });

  test('discard deletes the dead letters that were seen, and no later one, even with an older time', async () => {
    const { target, env } = streaming;
    await target.query(
      `insert into tidegate_raw.dead_letters (table_name, key, row, format, reason, at)
       select 'stated', ('\\x4' || n)::bytea, '', 'copy', 'made up', now() from generate_series(1, 2) n`,
    );
    const session = await WritingSession.open(new Scope(), targetConfig(env));
    try {
      const seen = await seeDeadLetters(session.db, ['stated']);
      expect(seen.length).toBe(3);
      await target.query(
        `insert into tidegate_raw.dead_letters (table_name, key, row, format, reason, at)
         values ('stated', '\\x43', '', 'copy', 'made up', now() - interval '1 hour')`,
      );
      await target.query(`update tidegate_raw.dead_letters set at = at - interval '1 minute' where key = '\\x42'`);
      expect(await discardDeadLetters(session, seen.slice(-2), 'not asked')).toBe(1);
      const keys = (await deadLetters('stated')).map(({ key }) => key);
      expect(keys).toContain('B');
      expect(keys).toContain('C');
      expect(keys).not.toContain('A');
    } finally {
      await session.close();
      await target.query(`delete from tidegate_raw.dead_letters where reason = 'made up'`);
    }
  });

  test('discard requires a confirmation in production, and deletes', async () => {
    const asked = await runCli(['dead-letters', 'discard', 'stated'], { ...streaming.env, ENVIRONMENT: 'production' });
    expect(asked).toMatchObject({ code: 1 });
    expect(asked.stderr).toMatch(/1 dead letters of stated in schema raw of clinic_.*must be confirmed/su);
    expect((await deadLetters('stated')).length).toBe(1);
    const { stdout } = await runCli(['dead-letters', 'discard', 'stated'], streaming.env);
    expect(stdout).toMatch(/1 dead letters discarded/u);
    expect(await deadLetters('stated')).toEqual([]);
  });
});

test('a table of TABLES_HALT stops everything at its first bad row, and nothing of its transaction is written', async () => {
  const halting = await Streaming.start(
    async (source) => {
      await source.query(
        `create table careful (id int not null primary key, label varchar(50)) default charset=utf8mb4`,
      );
    },
    sharedServers(),
    { TABLES_HALT: 'care*' },
  );
  try {
    await halting.source.query('begin');
    await halting.source.query(`insert into careful values (1, 'one')`);
    await halting.source.query(`insert into careful values (2, ${badText})`);
    await halting.source.query('commit');
    expect(await halting.run.exited).toMatchObject({ code: 1 });
    const line = halting.run.lines.find(({ level }) => level === 'fatal');
    expect(line?.['err']).toMatchObject({ kind: 'bad-row' });
    expect(await halting.rows('select id from careful')).toEqual([]);
  } finally {
    await halting.end();
  }
});
