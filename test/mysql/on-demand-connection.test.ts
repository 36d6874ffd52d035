import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Replica, createReplica } from '../../testing/replica.ts';
import { type Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { Scope } from '../../src/lifetime/scope.ts';
import { SourceConnection } from '../../src/mysql/connection.ts';
import { OnDemandConnection } from '../../src/mysql/on-demand-connection.ts';
import { SourceDelay } from '../../src/mysql/source-delay.ts';
import { sharedServers } from '../support/shared-servers.ts';

let replica: Replica;
let config: Config;

beforeAll(async () => {
  const { source, target } = sharedServers();
  replica = await createReplica(source, target);
  config = loadConfig(replica.env);
});

afterAll(async () => await replica?.drop());

test('a question that the account may not ask is answered to everybody who asks it at once, and the connection stays', async () => {
  await using scope = new Scope();
  let opened = 0;
  const shared = new OnDemandConnection(async () => {
    opened++;
    return await SourceConnection.open(scope, config.source, 'replicator');
  });
  const lag = new SourceDelay(shared);
  expect(await Promise.all([lag.seconds(), lag.seconds(), lag.seconds()])).toEqual([0, 0, 0]);
  expect(await shared.use(async (connection) => (await connection.query('select version() as version')).length)).toBe(
    1,
  );
  expect(opened).toBe(1);
});

test('a connection that is destroyed fails everything that waits for it, and the next question opens another', async () => {
  await using scope = new Scope();
  const shared = new OnDemandConnection(async () => await SourceConnection.open(scope, config.source, 'replicator'));
  const waiting = shared.use(async (connection) => {
    const answers = Array.from({ length: 3 }, async () => await connection.query('show global variables'));
    connection.destroy();
    return await Promise.allSettled(answers);
  });
  expect((await waiting).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  await expect(shared.use(async (connection) => await connection.query('show binary logs'))).rejects.toMatchObject({
    kind: 'source-unreachable',
  });
  expect((await shared.use(async (connection) => await connection.query('show binary logs'))).length).toBeGreaterThan(
    0,
  );
});
