import { expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/load-config.ts';
import { Scope } from '../../../src/lifetime/scope.ts';
import { SourceConnection } from '../../../src/mysql/connection.ts';
import { createReplica } from '../../../testing/replica.ts';
import { sharedServers } from '../../support/shared-servers.ts';

/** A packet of the greatest length. Another one follows and belongs to the same. */
const part = Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0]), Buffer.alloc(0xffffff)]);

test('a packet that never ends breaks its connection off with one error, and no part of it is taken for another', async () => {
  const { source, target } = sharedServers();
  const replica = await createReplica(source, target);
  await using scope = new Scope();
  try {
    const connection = await SourceConnection.open(scope, loadConfig({ ...replica.env }).source, 'reader');
    const { packetParser } = connection.raw as unknown as { packetParser: { execute(bytes: Buffer): void } };
    const failed = expect(connection.query('select version() as version')).rejects.toMatchObject({
      kind: 'binlog-unreadable',
    });
    for (let bytes = 0; bytes < 2 ** 31; bytes += part.length) packetParser.execute(part);
    await failed;
  } finally {
    await replica.drop();
  }
});
