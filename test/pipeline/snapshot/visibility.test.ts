import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RunProcess } from '../../../testing/run-process.ts';
import { startSource } from '../../../testing/servers/source.ts';
import type { SourceServer } from '../../../testing/servers/server.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { sharedServers } from '../../support/shared-servers.ts';

/**
 * This server waits between logging a commit and making it visible, because it waits for a semi-synchronous replica that does not
 * answer. It waits once after semi-synchronous replication is enabled, then gives up on replicas.
 */
let source: SourceServer;
const waitMs = 8_000;
const replicas: Replica[] = [];

beforeAll(async () => {
  source = await startSource({
    args: ['--rpl-semi-sync-master-wait-point=AFTER_SYNC', `--rpl-semi-sync-master-timeout=${waitMs}`],
  });
});

afterAll(async () => {
  for (const replica of replicas) await replica.drop();
  await source?.stop();
});

async function makeReplica(): Promise<{ replica: Replica; admin: Connection }> {
  const replica = await createReplica(source, sharedServers().target);
  replicas.push(replica);
  const admin = await replica.sourceAdmin();
  for (const engine of ['InnoDB', 'MyISAM', 'Aria']) {
    await admin.query(`create table ${engine} (id int not null primary key, note varchar(40)) engine=${engine}`);
    await admin.query(`insert into ${engine} values (1, 'seen by all')`);
  }
  return { replica, admin };
}

describe('a row that is logged seconds before it is visible', () => {
  test.each(['InnoDB', 'MyISAM', 'Aria'])('is not lost between the snapshot and the stream: %s', async (engine) => {
    const { replica, admin } = await makeReplica();
    await admin.query('set global rpl_semi_sync_master_enabled = off');
    await admin.query('set global rpl_semi_sync_master_enabled = on');
    const session = await replica.sourceAdmin();
    const inserted = session.query(`insert into ${engine} values (2, 'logged')`);
    try {
      await sleep(200);
      const run = new RunProcess(replica.env, ['--until-caught-up']);
      await run.succeeded();
      // Otherwise the snapshot came too late for this test.
      expect(run.find('table copied', ({ table }) => table === engine)).toMatchObject({ rows: 1 });
      await inserted;
      await new RunProcess(replica.env, ['--until-caught-up']).succeeded();
      const { rows } = await replica.targetAdmin.query(`select id from raw."${engine}" order by id`);
      expect(rows).toEqual([{ id: 1 }, { id: 2 }]);
    } finally {
      await inserted.catch(() => undefined);
      await session.end();
      await admin.end();
    }
  });
});
