import { afterAll, beforeAll, expect, test } from 'vitest';
import { Streaming } from './support/streaming.ts';

/** Enough for six batches, over more tables than a batch of one table would show. */
const [tables, transactions] = [120, 8_000];
const noteBytes = 1_200;

let streaming: Streaming;

beforeAll(async () => {
  streaming = await Streaming.start(async (source) => {
    for (let table = 0; table < tables; table++)
      await source.query(`create table busy_${table} (id int not null primary key, note varchar(2000))`);
    // Small transactions of two tables. Every fourth one changes rows of an earlier one.
    await source.query(
      `create procedure write_backlog(in first_id int, in last_id int)
       begin
         while first_id <= last_id do
           start transaction;
           call write_one(first_id, first_id mod ${tables});
           call write_one(first_id, (first_id + 17) mod ${tables});
           commit;
           set first_id = first_id + 1;
         end while;
       end`,
    );
    await source.query(
      `create procedure write_one(in id int, in number int)
       begin
         set @sql = concat('insert into busy_', number, ' values (', id - (id mod 4 = 0) * ${tables}, ', repeat(''x'', ', ${noteBytes} + id mod 7,
           ')) on duplicate key update note = concat(''changed '', note)');
         prepare statement from @sql;
         execute statement;
         deallocate prepare statement;
       end`,
    );
  });
});

afterAll(async () => {
  await streaming?.end();
});

test('a backlog of small transactions over many tables: the checkpoint moves between, locks are bounded, a kill repeats little', async () => {
  const { source, target } = streaming;
  await streaming.caughtUp();
  await streaming.run.kill();
  // The target is slow, so that batches fill while an earlier one is written.
  await target.query(
    `create function dawdle() returns trigger language plpgsql as 'begin perform pg_sleep(0.005); return null; end'`,
  );
  for (let table = 0; table < tables; table++)
    await target.query(
      `create trigger dawdle after insert or update on busy_${table} for each statement execute function dawdle()`,
    );
  await source.query('call write_backlog(1, ?)', [transactions]);
  const end = await streaming.sourcePosition();
  const start = await streaming.checkpoint();

  const checkpoints = new Set<string>();
  let mostLocks = 0;
  const look = async () => {
    checkpoints.add(await streaming.checkpoint());
    const [row] = await streaming.rows(
      `select coalesce(max(locks), 0) from (select count(*) as locks from pg_locks where database = (select oid from pg_database
        where datname = current_database()) group by pid) sessions`,
    );
    mostLocks = Math.max(mostLocks, Number(row?.[0]));
  };
  const run = streaming.another();
  streaming.follow(run);
  await streaming.until(
    async () => {
      await look();
      return checkpoints.size >= 3;
    },
    'the checkpoint has moved twice',
    120_000,
  );
  await run.kill();
  const killedAt = await streaming.checkpoint();
  expect(killedAt > start).toBe(true);
  expect(killedAt < end).toBe(true);

  streaming.follow(streaming.another());
  await streaming.until(
    async () => {
      await look();
      return (await streaming.checkpoint()) >= end;
    },
    'the backlog is applied',
    120_000,
  );
  expect(checkpoints.size).toBeGreaterThanOrEqual(5);
  // Per table: itself, its key, and the table and index of its large values.
  expect(mostLocks).toBeGreaterThan(tables);
  expect(mostLocks).toBeLessThan(tables * 4 + 40);
  await streaming.caughtUp();
  expect(await streaming.differences()).toEqual([]);
});

test('parts of a large transaction over many tables take no more locks than the tables', async () => {
  const { source, target } = streaming;
  await source.query('start transaction');
  for (let table = 0; table < tables; table++)
    await source.query(`update busy_${table} set note = concat('once more ', note)`);
  await source.query('commit');
  let mostLocks = 0;
  const end = await streaming.sourcePosition();
  await streaming.until(
    async () => {
      const { rows } = await target.query<{ locks: number }>(
        `select coalesce(max(locks), 0) as locks from (select count(*)::int as locks from pg_locks where database = (select oid
           from pg_database where datname = current_database()) group by pid) sessions`,
      );
      mostLocks = Math.max(mostLocks, rows[0]?.locks ?? 0);
      return (await streaming.checkpoint()) >= end;
    },
    'the transaction is applied',
    120_000,
  );
  expect(mostLocks).toBeGreaterThan(tables);
  expect(mostLocks).toBeLessThan(tables * 4 + 40);
  await streaming.caughtUp();
  expect(await streaming.differences()).toEqual([]);
});
