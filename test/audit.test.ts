import { afterAll, beforeAll, expect, test } from 'vitest';
import { Streaming } from './stream/streaming.ts';
import { runCli } from './support/cli.ts';

let streaming: Streaming;

beforeAll(async () => {
  streaming = await Streaming.start(async (source) => {
    await source.query('create table visits (id int not null primary key, note varchar(40))');
    await source.query(`insert into visits values (1, 'secret')`);
  });
});

afterAll(async () => {
  await streaming?.end();
});

interface AuditEvent {
  readonly kind: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

async function events(): Promise<AuditEvent[]> {
  const rows = await streaming.rows(`select kind, detail from tidegate.events order by id`);
  return rows.map(([kind, detail]) => ({
    kind: kind ?? '',
    detail: JSON.parse(detail ?? '{}') as AuditEvent['detail'],
  }));
}

test('who did what and when is written down, without a value, and cannot be changed', async () => {
  await streaming.source.query(`alter table visits add column more varchar(20) default 'secret'`);
  await streaming.until(async () => (await streaming.tableState('visits')).state === 'parked', 'it is parked');
  await runCli(['pause'], streaming.env);
  await runCli(['resume'], streaming.env);
  await streaming.run.stop();
  await runCli(['reset', '--yes'], { ...streaming.env, ENVIRONMENT: 'production' });

  const found = await events();
  expect(found.map(({ kind }) => kind)).toEqual([
    'started',
    'tables-added',
    'snapshot-finished',
    'table-parked',
    'paused',
    'resumed',
    'stopped',
    'reset',
  ]);
  for (const { detail } of found) {
    expect(detail['by']).toMatch(/.@./u);
    expect(detail).toMatchObject({ pid: expect.any(Number), version: expect.stringMatching(/^\d+\.\d+/u) });
  }
  const [started, added] = found;
  expect(started?.detail).toMatchObject({
    settings: expect.stringMatching(/^[0-9a-f]{16}$/u),
    grants: { reader: expect.arrayContaining([expect.stringMatching(/^SELECT on /u)]), replicator: expect.anything() },
  });
  expect(added?.detail).toMatchObject({ tables: expect.arrayContaining(['visits']) });
  expect(found.at(-1)?.detail).toMatchObject({ confirmed: 'option' });
  expect(JSON.stringify(found)).not.toContain('secret');
  const { SOURCE_DB_READONLY_PASSWORD: password = 'none' } = streaming.env;
  expect(JSON.stringify(found)).not.toContain(password);

  for (const change of [
    `update tidegate.events set kind = 'other'`,
    'delete from tidegate.events',
    'truncate tidegate.events',
  ])
    await expect(streaming.target.query(change)).rejects.toMatchObject({ code: '42501' });
});
