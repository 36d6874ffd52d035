import { readFile, truncate } from 'node:fs/promises';
import type { RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SourceServer } from '../../../testing/servers/server.ts';
import { startSource } from '../../../testing/servers/source.ts';
import { sharedServers } from '../../support/shared-servers.ts';
import { Streaming } from './support/streaming.ts';

/** Offsets in an event of its type and of its length. */
const typeAt = 4;
const lengthAt = 9;
const rowTypes = [23, 30];

describe.each(['mariadb', 'mysql'] as const)('%s crashes while it writes a transaction to its binlog', (flavor) => {
  let source: SourceServer;
  let streaming: Streaming;

  beforeAll(async () => {
    // The engine has committed the transaction already. With GTIDs, MySQL may have kept that of the transaction and count it as purged.
    const args = flavor === 'mysql' ? ['--gtid-mode=OFF'] : [];
    source = await startSource({ flavor, args, asProcess: true });
    streaming = await Streaming.start(
      async (admin) => {
        await admin.query('create table visit (id int not null primary key, note varchar(4000)) engine=InnoDB');
      },
      { source, target: sharedServers().target },
    );
  });
  afterAll(async () => {
    await streaming?.end();
    await source?.stop();
  });

  /** Kills the source as if the file ended within the last transaction, and rolls that back there as its recovery would. */
  const crashWithin = async (from: number) => {
    const [logs] = await streaming.source.query<RowDataPacket[]>('show binary logs');
    const name = String(logs.at(-1)?.['Log_name']);
    await source.restart?.('SIGKILL', async (folder) => {
      const file = `${folder}/data/${name}`;
      const ends = rowEventEnds(await readFile(file));
      await truncate(file, ends[Math.floor(ends.length * 0.9)]);
    });
    await streaming.reconnectSource();
    await streaming.source.query('set sql_log_bin = 0');
    await streaming.source.query(`delete from visit where id >= ${from}`);
    await streaming.source.query('set sql_log_bin = 1');
  };

  test.each([
    { size: 'small', from: 1_000, rows: 30 },
    // More than a batch, so its first parts are written before its end is missed.
    { size: 'large', from: 10_000, rows: 5_000 },
  ])('a $size one: the service goes on without it', async ({ from, rows }) => {
    await streaming.run.stop();
    const digits =
      '(select 0 d union all select 1 union all select 2 union all select 3 union all select 4 union all select 5 union all select 6 union all select 7 union all select 8 union all select 9)';
    const ids = `select n from (select ${from} + a.d + 10 * b.d + 100 * c.d + 1000 * e.d as n from ${digits} a, ${digits} b, ${digits} c, ${digits} e) as numbers where n < ${from + rows}`;
    await streaming.source.query(`insert into visit values (${rows}, 'before')`);
    await streaming.source.query(`insert into visit select n, repeat('x', 3000) from (${ids}) as all_ids`);
    await crashWithin(from);
    await streaming.source.query(`insert into visit values (${from + rows - 1}, 'after')`);
    streaming.follow(streaming.another());
    await streaming.caughtUp();
    expect(await streaming.differences()).toEqual([]);
    expect(
      await streaming.rows(`select note from visit where id in (${rows}, ${from + rows - 1}) order by id`),
    ).toEqual([['before'], ['after']]);
    expect(streaming.run.find('retrying')).toBeUndefined();
  });
});

/** Where each row event of a binlog file ends. */
function rowEventEnds(file: Buffer): number[] {
  const ends: number[] = [];
  for (let at = 4; at < file.length; at += file.readUInt32LE(at + lengthAt))
    if (rowTypes.includes(file[at + typeAt] ?? 0)) ends.push(at + file.readUInt32LE(at + lengthAt));
  return ends;
}
