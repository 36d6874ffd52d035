import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type SourceServer, restart } from '../../../testing/servers/server.ts';
import { startSource } from '../../../testing/servers/source.ts';
import { sharedServers } from '../../support/shared-servers.ts';
import { Streaming } from './support/streaming.ts';

describe.each(['mariadb', 'mysql'] as const)('tables that a crash of %s tears apart', (flavor) => {
  let source: SourceServer;
  let streaming: Streaming;
  const torn = flavor === 'mariadb' ? ['aria', 'myisam'] : ['myisam'];

  beforeAll(async () => {
    // It crashes, so no other suite may share it.
    source = await startSource({ flavor, asProcess: true });
    streaming = await Streaming.start(
      async (admin) => {
        for (const engine of ['innodb', ...torn]) {
          await admin.query(`create table ${engine} (id int not null primary key, note varchar(40)) engine=${engine}`);
          await admin.query(`insert into ${engine} values (1, 'kept'), (2, 'kept'), (3, 'kept')`);
        }
      },
      { source, target: sharedServers().target },
    );
  });
  afterAll(async () => {
    await streaming?.end();
    await source?.stop();
  });

  /** Changes that the binlog does not have, as a crash or a repair may leave them. */
  const changeUnseen = async () => {
    await streaming.source.query('set session sql_log_bin = 0');
    for (const engine of torn) {
      await streaming.source.query(`delete from ${engine} where id = 1`);
      await streaming.source.query(`insert into ${engine} values (100, 'never logged')`);
    }
    await streaming.source.query('set session sql_log_bin = 1');
  };
  /** Waits until the torn tables were read again, by whatever job their state needed. A suspended table need not wait for its pause. */
  const readAgain = async () => {
    await streaming.caughtUp();
    await streaming.until(async () => {
      await streaming.target.query('update tidegate_raw.tables set retry_at = now() where retry_at is not null');
      const read = await streaming.rows(
        `select distinct table_name from tidegate_raw.jobs where repair and requested_by = 'table life' and state = 'done' order by 1`,
      );
      return read.flat().join() === torn.join();
    }, 'the torn tables are read again, and no other');
    expect(await streaming.differences()).toEqual([]);
  };
  const putBack = async () => {
    for (const engine of torn) {
      await streaming.source.query(`delete from ${engine} where id = 100`);
      await streaming.source.query(`insert into ${engine} values (1, 'kept')`);
    }
    await streaming.caughtUp();
    await streaming.target.query('delete from tidegate_raw.jobs');
  };

  test('are made equal by themselves after a crash, even if nothing was streamed before', async () => {
    await changeUnseen();
    await restart(source, 'SIGKILL');
    await streaming.reconnectSource();
    // By hand or by a first statement; the binlog need not have it.
    await streaming.source.query(`repair no_write_to_binlog table ${torn.join(', ')}`);
    await readAgain();
    await putBack();
  });

  test('are made equal when the source crashed while no service ran', async () => {
    await streaming.run.stop();
    await changeUnseen();
    await restart(source, 'SIGKILL');
    await restart(source, 'SIGTERM');
    await streaming.reconnectSource();
    await streaming.source.query(`repair no_write_to_binlog table ${torn.join(', ')}`);
    streaming.follow(streaming.another());
    await readAgain();
    await putBack();
  });

  test('are made equal after REPAIR TABLE', async () => {
    await changeUnseen();
    await streaming.source.query(`repair table ${torn.join(', ')} quick`);
    await readAgain();
    await putBack();
  });

  test('are not read again when the source is shut down, goes on to another binlog file, or the service starts again', async () => {
    await restart(source, 'SIGTERM');
    await streaming.reconnectSource();
    await streaming.caughtUp();
    await streaming.source.query('flush binary logs');
    await streaming.caughtUp();
    await streaming.restart();
    await restart(source, 'SIGTERM');
    await streaming.reconnectSource();
    await streaming.caughtUp();
    expect(await streaming.rows('select table_name, kind from tidegate_raw.jobs')).toEqual([]);
  });

  // MySQL opens a table that was open in a crash.
  if (flavor === 'mariadb')
    test('are suspended while they cannot be opened, and return once they are repaired', async () => {
      await streaming.caughtUp();
      await changeUnseen();
      await restart(source, 'SIGKILL');
      await streaming.reconnectSource();
      await streaming.until(
        async () => (await streaming.tableState('myisam')).state === 'suspended',
        'the table that cannot be opened is suspended',
      );
      await streaming.source.query(`repair no_write_to_binlog table ${torn.join(', ')}`);
      await readAgain();
      await putBack();
    });

  test('are suspended while their rows cannot be read, and return once they are repaired', async () => {
    // Every byte is a value of this type, so rows that the repair saves in part are rows like others.
    await streaming.source.query(
      'create table damaged (id int not null primary key, note varbinary(200)) engine=MyISAM',
    );
    const rows = Array.from({ length: 2_000 }, (_, id) => `(${id}, repeat('x', ${id % 150}))`);
    await streaming.source.query(`insert into damaged values ${rows.join(', ')}`);
    await streaming.caughtUp();
    await streaming.until(
      async () => (await streaming.tableState('damaged')).state === 'streaming',
      'the new table is complete',
    );
    await streaming.source.query('flush tables damaged');
    const [[server]] = await streaming.source.query<RowDataPacket[]>('select @@datadir as folder');
    await damage(join(String(server?.['folder']), streaming.database, 'damaged.MYD'));
    await streaming.holdSuspended();
    await restart(source, 'SIGKILL');
    await streaming.reconnectSource();
    await streaming.until(
      async () => (await streaming.tableState('damaged')).state === 'suspended',
      'the table that cannot be read is suspended',
    );
    expect((await streaming.tableState('damaged')).reason).toContain('repair table');
    await streaming.source.query('repair no_write_to_binlog table damaged');
    await streaming.releaseSuspended();
    await streaming.until(
      async () => (await streaming.tableState('damaged')).state === 'streaming',
      'the repaired table returns',
    );
    expect(await streaming.differences()).toEqual([]);
  });
});

/** Overwrites rows in the file of a table, as a disk does that lost a write. */
async function damage(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    const { size } = await stat(file);
    await handle.write(Buffer.alloc(500, 0xff), 0, 500, Math.floor(size / 3));
  } finally {
    await handle.close();
  }
}
