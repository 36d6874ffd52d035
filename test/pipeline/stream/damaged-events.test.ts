import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCli } from '../../support/cli.ts';
import { Proxy } from '../../support/proxy.ts';
import { sharedServers } from '../../support/shared-servers.ts';
import { Streaming } from './support/streaming.ts';

let proxy: Proxy;
let streaming: Streaming;
let settings: Readonly<Record<string, string>>;

beforeAll(async () => {
  proxy = await Proxy.start(sharedServers().source);
  settings = { SOURCE_DB_HOST: proxy.host, SOURCE_DB_PORT: String(proxy.port) };
  streaming = await Streaming.start(
    async (source) => {
      await source.query('create table note (id int not null primary key, text varchar(100)) engine=InnoDB');
    },
    undefined,
    settings,
  );
});

afterAll(async () => {
  await streaming?.end();
  await proxy?.[Symbol.asyncDispose]();
});

test('a bit that flips on the way is read again, and nothing is lost', async () => {
  proxy.flip({ direction: 'down', pattern: Buffer.from('needle'), behind: 3 });
  await streaming.source.query("insert into note values (1, 'needle in a haystack'), (2, 'x')");
  await streaming.run.logged('retrying', ({ err }) => (err as { kind: string }).kind === 'binlog-damaged');
  await streaming.caughtUp();
  expect(proxy.flips).toBe(1);
  expect(await streaming.differences()).toEqual([]);
});

test('what is damaged on three new connections too is an error, and the next start continues there', async () => {
  proxy.flip({ direction: 'down', pattern: Buffer.from('thorn'), behind: 3, times: Number.POSITIVE_INFINITY });
  await streaming.source.query("insert into note values (3, 'thorn in a haystack')");
  await streaming.run.exited;
  expect(streaming.run.lines.at(-1)).toMatchObject({
    err: { kind: 'binlog-unreadable', message: expect.stringContaining('an event failed its checksum') },
  });
  expect(proxy.flips).toBe(1 + 4);
  proxy.flip({ direction: 'down', pattern: Buffer.from('none'), behind: 0 });
  streaming.follow(streaming.another([], settings));
  await streaming.caughtUp();
  expect(await streaming.differences()).toEqual([]);
});

test('what stays damaged is passed over by the command of the hint', async () => {
  proxy.flip({ direction: 'down', pattern: Buffer.from('bramble'), behind: 3, times: Number.POSITIVE_INFINITY });
  // Only the binlog has the text that is damaged on the way.
  await streaming.source.query("insert into note values (4, 'bramble in a haystack')");
  await streaming.source.query("update note set text = 'hay' where id = 4");
  await streaming.run.exited;
  const ended = JSON.stringify(streaming.run.lines.at(-1));
  const [, command = ''] = /run `tidegate (resync)`/.exec(ended) ?? [];
  const resync = await runCli([command], streaming.env);
  expect(resync.code, resync.stderr).toBe(0);
  streaming.follow(streaming.another([], settings));
  await streaming.caughtUp();
  expect(await streaming.differences()).toEqual([]);
});
