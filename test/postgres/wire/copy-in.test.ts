import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { socketOf } from '../../../src/postgres/wire/client.ts';
import { type Copy, CopyIn } from '../../../src/postgres/wire/copy-in.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { sharedServers } from '../../support/shared-servers.ts';

let replica: Replica;
let client: pg.Client;

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
});

afterEach(async () => {
  await client.end();
});

function copyOf(...lines: readonly string[]): Copy {
  return { statement: 'copy patient from stdin', lines: lines.map((line) => Buffer.from(line)) };
}

async function copyIn(...copies: readonly Copy[]): Promise<readonly (Error | null)[]> {
  return await new Promise((resolve) => client.query(new CopyIn(client, copies, resolve)));
}

async function ids(): Promise<readonly number[]> {
  const { rows } = await client.query<{ id: number }>('select id from patient order by id');
  return rows.map(({ id }) => id);
}

test('each message is a query of its own to pg: it hands over what was raised in it, and goes on with the next', async () => {
  const outcomes = await copyIn(
    { ...copyOf('1\n'), statement: 'copy absent from stdin' },
    copyOf('2\n', 'two\n'),
    { statement: 'insert into patient values (3); insert into patient values (4)', lines: [] },
    { ...copyOf('5\n'), statement: 'insert into patient values (6); copy patient from stdin' },
    copyOf(''),
    copyOf('7\n8', '\n'),
  );
  expect(outcomes).toMatchObject([{ code: '42P01' }, { code: '22P02' }, null, null, null, null]);
  expect(await ids()).toEqual([3, 4, 5, 6, 7, 8]);
});

test('all of the data leaves with the statement, before any answer could have come', async () => {
  const socket = socketOf(client);
  const before = socket.bytesWritten;
  const lines = Array.from({ length: 100_000 }, (_, id) => `${id}\n`).join('');
  const copied = copyIn(copyOf(lines), copyOf('100000\n'));
  expect(socket.bytesWritten - before).toBeGreaterThan(lines.length);
  const sent = socket.bytesWritten;
  expect(await copied).toEqual([null, null]);
  expect(socket.bytesWritten).toBe(sent);
});

test('a connection that breaks tells it for each message', async () => {
  const copied = copyIn(copyOf('1\n'), copyOf('2\n'));
  socketOf(client).destroy();
  expect(await copied).toEqual([expect.any(Error), expect.any(Error)]);
});
