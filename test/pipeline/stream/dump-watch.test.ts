import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/load-config.ts';
import { Scope } from '../../../src/lifetime/scope.ts';
import { SourceConnection } from '../../../src/mysql/connection.ts';
import { readHead } from '../../../src/mysql/position/positions.ts';
import { DumpWatch } from '../../../src/pipeline/stream/dump-watch.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { startSource } from '../../../testing/servers/source.ts';
import type { SourceServer } from '../../../testing/servers/server.ts';
import { Proxy } from '../../support/proxy.ts';
import { sharedServers } from '../../support/shared-servers.ts';

/** Nobody else may write to this source's binlog. */
let source: SourceServer;
let replica: Replica;
let proxy: Proxy;

beforeAll(async () => {
  source = await startSource();
  replica = await createReplica(source, sharedServers().target);
  proxy = await Proxy.start(source);
});

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await replica?.drop();
  await source?.stop();
});

test('an idle source is looked at again and again on one connection, and on a new one only after that is broken', async () => {
  const config = loadConfig({ ...replica.env, SOURCE_DB_HOST: proxy.host, SOURCE_DB_PORT: String(proxy.port) });
  await using scope = new Scope();
  const head = await readHead(await SourceConnection.open(scope, loadConfig(replica.env).source, 'replicator'));
  const failures: Error[] = [];
  const watch = new DumpWatch(
    scope,
    config.source,
    () => head,
    (error) => failures.push(error),
    20,
  );
  const looks = async (count: number) => {
    const before = proxy.packets;
    await expect.poll(() => proxy.packets).toBeGreaterThan(before + count);
  };
  try {
    await expect.poll(() => proxy.connections).toBe(1);
    await looks(50);
    expect(proxy.connections).toBe(1);
    proxy.cut();
    await expect.poll(() => proxy.connections).toBe(2);
    await looks(50);
    expect(proxy.connections).toBe(2);
    expect(failures).toEqual([]);
  } finally {
    watch.close();
  }
});
