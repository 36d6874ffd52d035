import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { socketOf } from '../../../src/postgres/wire/client.ts';
import { type Outcome, Pipeline, type Statement } from '../../../src/postgres/wire/pipeline.ts';
import { PreparedStatements } from '../../../src/postgres/wire/prepared-statements.ts';
import { TextArrays } from '../../../src/postgres/rows/text-arrays.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { sharedServers } from '../../support/shared-servers.ts';

let replica: Replica;
let client: pg.Client;
let prepared: PreparedStatements;

beforeAll(async () => {
  const { source, target } = sharedServers();
  replica = await createReplica(source, target);
});

afterAll(async () => {
  await replica?.drop();
});

beforeEach(async () => {
  client = new pg.Client(replica.targetAdminOptions);
  client.on('error', () => undefined);
  await client.connect();
  await client.query('create temporary table patient (id int primary key)');
  prepared = new PreparedStatements();
});

afterEach(async () => {
  await client.end();
});

async function send(...groups: readonly (readonly Statement[])[]): Promise<readonly Outcome[]> {
  return await new Promise((resolve) => client.query(new Pipeline(client, groups, prepared, resolve)));
}

function copyOf(...lines: readonly string[]): Statement {
  return { text: 'copy patient from stdin', lines: lines.map((line) => Buffer.from(line)) };
}

/** Inserts numbers as the binary `text[]` that rows are sent as. */
function insertOf(...numbers: readonly number[]): Statement {
  const arrays = new TextArrays(1);
  for (const number of numbers) {
    const field = Buffer.from(String(number));
    arrays.add(field, 0, field.length);
  }
  return { text: 'insert into patient select unnest($1::text[])::int', values: arrays.values() };
}

async function ids(): Promise<readonly number[]> {
  const { rows } = await client.query<{ id: number }>('select id from patient order by id');
  return rows.map(({ id }) => id);
}

async function preparedNames(): Promise<readonly string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select name from pg_prepared_statements where name like 'tidegate%'`,
  );
  return rows.map(({ name }) => name);
}

test('an error ends its group and no other, and tells which statement it was by the rows of those before', async () => {
  const outcomes = await send(
    [insertOf(1), { text: 'select from absent' }, insertOf(2)],
    [insertOf(3, 4), copyOf('5\n', 'five\n'), insertOf(6)],
    [],
    [insertOf(7, 8, 9), copyOf('10\n1', '1\n'), copyOf(''), { text: 'delete from patient where id > 9' }],
    [{ text: 'select from patient' }],
  );
  expect(outcomes).toMatchObject([
    { rows: [1], error: { code: '42P01' } },
    { rows: [2], error: { code: '22P02' } },
    { rows: [], error: null },
    { rows: [3, 2, 0, 2], error: null },
    { rows: [3], error: null },
  ]);
  expect(await ids()).toEqual([7, 8, 9]);
});

test('within a transaction a group goes on behind a savepoint that the next one rolls back to', async () => {
  await client.query('begin');
  const outcomes = await send(
    [{ text: 'savepoint before' }, copyOf('1\n1\n')],
    [{ text: 'rollback to savepoint before' }, copyOf('1\n')],
  );
  await client.query('commit');
  expect(outcomes).toMatchObject([{ error: { code: '23505' } }, { error: null }]);
  expect(await ids()).toEqual([1]);
});

test('a statement is prepared once, also after it was skipped or has failed', async () => {
  await send([{ text: 'select from absent' }, insertOf(1)]);
  expect(await preparedNames()).toEqual([]);
  await send([insertOf(1)], [insertOf(1)], [insertOf(2)]);
  expect((await preparedNames()).length).toBe(1);
  await client.query('create temporary table absent ()');
  expect(await send([insertOf(3), { text: 'select from absent' }])).toMatchObject([{ rows: [1, 0], error: null }]);
  expect((await preparedNames()).length).toBe(2);
});

test('a session keeps a bounded number of statements', async () => {
  const statements = Array.from({ length: 1_500 }, (_, n) => [{ text: `select ${n}` }, { text: 'select -1' }]).flat();
  await send(statements);
  const [outcome] = await send(statements);
  expect(outcome).toMatchObject({ error: null });
  expect((await preparedNames()).length).toBe(1_000);
});

test('everything leaves before any answer could have come', async () => {
  const socket = socketOf(client);
  const before = socket.bytesWritten;
  const lines = Array.from({ length: 100_000 }, (_, id) => `${id}\n`).join('');
  const sending = send([copyOf(lines)], [insertOf(100_000)]);
  expect(socket.bytesWritten - before).toBeGreaterThan(lines.length);
  const sent = socket.bytesWritten;
  expect(await sending).toMatchObject([{ rows: [100_000] }, { rows: [1] }]);
  expect(socket.bytesWritten).toBe(sent);
});

test('a connection that breaks tells it for each group', async () => {
  const sending = send([insertOf(1)], [insertOf(2)]);
  socketOf(client).destroy();
  expect(await sending).toMatchObject([{ error: expect.any(Error) }, { error: expect.any(Error) }]);
});
