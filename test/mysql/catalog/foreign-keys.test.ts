import type { Connection } from 'mysql2/promise';
import { afterAll, describe, expect, it } from 'vitest';
import { startSource } from '../../../testing/servers/source.ts';
import type { SourceServer } from '../../../testing/servers/server.ts';
import { runCli } from '../../support/cli.ts';
import { sharedServers } from '../../support/shared-servers.ts';
import { Streaming } from '../../pipeline/stream/support/streaming.ts';

const servers: SourceServer[] = [];

afterAll(async () => {
  await Promise.all(servers.map(async (server) => await server.stop()));
});

async function prepare(source: Connection): Promise<void> {
  await source.query('create table parent (id int not null primary key, label varchar(20)) engine=InnoDB');
  for (const [table, action] of [
    ['follows', 'on delete cascade on update cascade'],
    ['emptied', 'on delete set null'],
    ['strict', ''],
  ] as const) {
    await source.query(
      `create table ${table} (id int not null primary key, parent int null, foreign key (parent) references parent (id) ${action}) engine=InnoDB`,
    );
  }
  await source.query(`insert into parent values (1, 'one'), (2, 'two'), (3, 'three'), (4, 'four')`);
  await source.query('insert into follows values (10, 1), (20, 2)');
  await source.query('insert into emptied values (10, 1), (20, 2)');
  await source.query('insert into strict values (30, 3)');
}

describe('a foreign key that changes rows without the binlog (MariaDB)', () => {
  it('suspends exactly the tables that it may have changed, when it may have changed them', async () => {
    const streaming = await Streaming.start(prepare);
    try {
      const { stdout } = await runCli(['check'], streaming.env);
      expect(stdout).toMatch(
        /table follows: foreign key \S+ changes its rows when parent loses a row or changes a key/,
      );
      expect(stdout).not.toContain('table strict');

      await streaming.source.query(`update parent set label = 'other' where id = 1`);
      await streaming.source.query(`insert into parent values (5, 'five')`);
      await streaming.caughtUp();
      expect((await streaming.tableState('follows')).state).toBe('streaming');

      await streaming.source.query('update parent set id = 40 where id = 4');
      await streaming.until(
        async () => (await streaming.tableState('follows')).state === 'suspended',
        'follows is suspended',
      );
      expect((await streaming.tableState('emptied')).state).toBe('streaming');

      await streaming.source.query('delete from parent where id = 1');
      await streaming.until(
        async () => (await streaming.tableState('emptied')).state === 'suspended',
        'emptied is suspended',
      );
      expect((await streaming.tableState('emptied')).reason).toContain('parent');
      await streaming.caughtUp();
      expect((await streaming.tableState('strict')).state).toBe('streaming');
      expect(await streaming.rows('select id from parent order by id')).toEqual([['2'], ['3'], ['5'], ['40']]);
    } finally {
      await streaming.end();
    }
  });
});

describe('a foreign key whose changes are logged (MySQL 9.7)', () => {
  it('is followed, and suspends nothing', async () => {
    const source = await startSource({ flavor: 'mysql', version: '9.7' });
    servers.push(source);
    const streaming = await Streaming.start(prepare, { source, target: sharedServers().target });
    try {
      await streaming.source.query('delete from parent where id = 1');
      await streaming.source.query('update parent set id = 20 where id = 2').catch(() => undefined);
      await streaming.caughtUp();
      expect(await streaming.rows('select id, parent from follows order by id')).toEqual(
        await atSource(streaming, 'follows'),
      );
      expect(await streaming.rows('select id, parent from emptied order by id')).toEqual(
        await atSource(streaming, 'emptied'),
      );
      expect((await streaming.tableState('follows')).state).toBe('streaming');
      expect((await streaming.tableState('emptied')).state).toBe('streaming');
    } finally {
      await streaming.end();
    }
  });
});

async function atSource(streaming: Streaming, table: string): Promise<(string | null)[][]> {
  const [rows] = await streaming.source.query({
    sql: `select id, parent from ${table} order by id`,
    rowsAsArray: true,
  });
  return (rows as (number | null)[][]).map((row) => row.map((value) => (value === null ? null : String(value))));
}
