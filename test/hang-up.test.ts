import type { RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Streaming } from './stream/streaming.ts';
import { runCli } from './support/cli.ts';

let streaming: Streaming;

beforeAll(async () => {
  streaming = await Streaming.start(async (source) => {
    await source.query('create table visit (id int not null primary key) engine=InnoDB');
  });
});

afterAll(async () => {
  await streaming?.end();
});

/** What runs at the source for Tidegate and is not waiting for its next statement. */
async function running(): Promise<string[]> {
  const users = [streaming.env['SOURCE_DB_READONLY_USER'], streaming.env['SOURCE_DB_REPLICATION_USER']];
  const [rows] = await streaming.source.query<RowDataPacket[]>(
    `select command from information_schema.processlist where user in (?) and command <> 'Sleep'`,
    [users],
  );
  return rows.map((row) => String(row['command']));
}

test('a dump that is not wanted any more ends at the source, too', async () => {
  await streaming.until(async () => (await running()).includes('Binlog Dump'), 'it dumps');
  expect((await runCli(['pause'], streaming.env)).code).toBe(0);
  await streaming.run.logged('paused: `tidegate resume` lets it go on');
  await streaming.source.query('insert into visit values (1)');
  await streaming.until(async () => !(await running()).includes('Binlog Dump'), 'no dump is left', 10_000);
});
