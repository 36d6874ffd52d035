import { afterAll, beforeAll, expect, test } from 'vitest';
import { startSource } from '../../testing/servers/source.ts';
import type { SourceServer } from '../../testing/servers/server.ts';
import { runCli } from '../support/cli.ts';
import { sharedServers } from '../support/shared-servers.ts';
import { Streaming } from './stream/support/streaming.ts';

const megabytes = 60;
const small = { NODE_OPTIONS: '--max-old-space-size=160' };

let source: SourceServer;
let streaming: Streaming;

beforeAll(async () => {
  source = await startSource({ args: ['--max-allowed-packet=512M'] });
  streaming = await Streaming.start(
    async (admin) => {
      await admin.query('create table scan (id int not null primary key, image longblob, n int) engine=MyISAM');
      await admin.query(`insert into scan values (1, 'x', 1), (2, repeat('x', ${megabytes}000000), 2), (3, 'x', 3)`);
    },
    { source, target: sharedServers().target },
    small,
  );
});

afterAll(async () => {
  await streaming?.end();
  await source?.stop();
});

const ids = async () => (await streaming.rows('select id, n from scan order by id')).map((row) => row.join(' '));
const deadLetters = async () =>
  await streaming.rows(
    `select convert_from(key, 'utf8'), length(row), reason from tidegate_raw.dead_letters where table_name = 'scan' order by 1`,
  );
const dead = (key: string) => [
  key,
  '0',
  expect.stringMatching(new RegExp(`^the row has ${megabytes + 1} MB, and the memory allows \\d+ MB`)),
];

test('a row that is too large for the memory becomes a dead letter with its key and both sizes, by snapshot and by stream', async () => {
  expect(await ids()).toEqual(['1 1', '3 3']);
  expect(await deadLetters()).toEqual([dead('2')]);

  await streaming.source.query(`insert into scan values (4, repeat('y', ${megabytes}000000), 4), (5, 'y', 5)`);
  await streaming.source.query(`update scan set image = repeat('z', ${megabytes}000000), n = 6 where id = 1`);
  await streaming.caughtUp();
  // The target keeps the last image that could be carried.
  expect(await ids()).toEqual(['1 1', '3 3', '5 5']);
  expect(await deadLetters()).toEqual([dead('1'), dead('2'), dead('4')]);
  expect((await streaming.tableState('scan')).state).toBe('streaming');
  expect(streaming.run.find('retrying')).toBeUndefined();
});

test('a job meets it too, and a smaller image resolves it', async () => {
  const backfill = await runCli(['backfill', 'scan'], { ...streaming.env, ...small });
  expect(backfill.stdout + backfill.stderr).not.toContain('suspended');
  expect((await deadLetters()).length).toBe(3);
  await streaming.source.query(`update scan set image = 'small'`);
  await streaming.caughtUp();
  expect(await deadLetters()).toEqual([]);
  expect(await streaming.differences()).toEqual([]);
});
