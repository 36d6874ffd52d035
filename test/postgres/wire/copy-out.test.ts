import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { LineBuffer } from '../../../src/change/line-buffer.ts';
import { socketOf } from '../../../src/postgres/wire/client.ts';
import { CopyOut } from '../../../src/postgres/wire/copy-out.ts';
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
});

afterEach(async () => {
  await client.end();
});

interface Copied {
  readonly error: Error | null;
  readonly rows: number | null;
  readonly text: string;
}

async function copyOut(query: string, mostBytes = Infinity): Promise<Copied> {
  const out = new LineBuffer();
  return await new Promise((resolve) => {
    client.query(
      new CopyOut(`copy (${query}) to stdout`, out, mostBytes, (error, rows) =>
        resolve({ error, rows, text: out.bytes.toString('utf8', 0, out.length) }),
      ),
    );
  });
}

const rows = 100_000;
const numbers = Array.from({ length: rows }, (_, n) => `${n + 1}\n`).join('');

test('rows come past pg, which sees all else, and has its socket back at the end', async () => {
  await client.query(`create function pg_temp.told(n int) returns int language plpgsql as
    $$ begin if n % 50000 = 0 then raise notice 'at %', n; end if; return n; end $$`);
  const listeners = socketOf(client).listeners('data');
  expect(listeners).toHaveLength(1);
  const seen: unknown[] = [];
  client.on('notice', ({ message }) => seen.push(message));
  const { connection } = client as unknown as { connection: NodeJS.EventEmitter };
  for (const name of ['copyData', 'commandComplete', 'readyForQuery']) connection.on(name, () => seen.push(name));
  const copied = await copyOut(`select pg_temp.told(n) from generate_series(1, ${rows}) n`);
  expect(copied).toEqual({ error: null, rows, text: numbers });
  expect(seen).toEqual(['at 50000', 'at 100000', 'commandComplete', 'readyForQuery']);
  expect(socketOf(client).listeners('data')).toEqual(listeners);
});

test('messages may come in pieces of any size', async () => {
  const socket = socketOf(client);
  const emit = socket.emit.bind(socket) as (name: string, ...values: unknown[]) => boolean;
  socket.emit = (name: string, ...values: unknown[]) => {
    const [chunk] = values;
    if (name !== 'data' || !(chunk instanceof Buffer)) return emit(name, ...values);
    for (const byte of chunk) emit('data', Buffer.of(byte));
    return true;
  };
  expect(await copyOut(`values ('one'), ('two')`)).toEqual({ error: null, rows: 2, text: 'one\ntwo\n' });
  expect((await client.query('select 1 as n')).rows).toEqual([{ n: 1 }]);
});

test('an error in the middle ends it and nothing else, and too many bytes end nothing', async () => {
  const listeners = socketOf(client).listeners('data');
  const { error } = await copyOut('select 1 / (50000 - n) from generate_series(1, 100000) n');
  expect(error).toMatchObject({ code: '22012' });
  expect(socketOf(client).listeners('data')).toEqual(listeners);
  expect((await client.query('select 1 as n')).rows).toEqual([{ n: 1 }]);
  const tooMuch = `values ('x'), (repeat('x', 10000)), ('x')`;
  expect(await copyOut(tooMuch, 1_000)).toEqual({ error: null, rows: null, text: 'x\n' });
  expect(await copyOut('select 2')).toEqual({ error: null, rows: 1, text: '2\n' });
});

test('a connection that breaks tells it', async () => {
  const copied = copyOut('select pg_sleep(600)');
  socketOf(client).destroy();
  expect(await copied).toMatchObject({ error: expect.any(Error) as Error, rows: null });
});
