import { afterAll, beforeAll, expect, test } from 'vitest';
import { Streaming } from '../../pipeline/stream/support/streaming.ts';
import { runCli } from '../../support/cli.ts';

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
  const rows = await streaming.rows(`select kind, detail from tidegate_raw.events order by id`);
  return rows.map(([kind, detail]) => ({
    kind: kind ?? '',
    detail: JSON.parse(detail ?? '{}') as AuditEvent['detail'],
  }));
}

test('who did what and when is recorded, without a value, and cannot be changed', async () => {
  await streaming.source.query(`alter table visits add column more varchar(20) default 'secret'`);
  await streaming.until(async () => (await streaming.tableState('visits')).state === 'suspended', 'it is suspended');
  await runCli(['pause'], streaming.env);
  await runCli(['resume'], streaming.env);
  await streaming.run.stop();
  await runCli(['reset', '--yes'], { ...streaming.env, ENVIRONMENT: 'production' });

  const found = await events();
  expect(found.map(({ kind }) => kind)).toEqual([
    'started',
    'tables-added',
    'snapshot-finished',
    'table-suspended',
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
    `update tidegate_raw.events set kind = 'other'`,
    'delete from tidegate_raw.events',
    'truncate tidegate_raw.events',
  ])
    await expect(streaming.target.query(change)).rejects.toMatchObject({ code: '42501' });
});

test('so are the results of jobs, how they ended, who confirmed deletions, and tables without a key', async () => {
  const other = await Streaming.start(
    async (source) => {
      await source.query('create table visits (id int not null primary key, note varchar(40))');
      await source.query(`insert into visits values (1, 'secret'), (2, 'secret')`);
      await source.query('create table counters (n int)');
    },
    undefined,
    { TABLES_REFRESH: 'counters' },
  );
  const recorded = async (kind: string) => {
    const rows = await other.rows(`select detail from tidegate_raw.events where kind = '${kind}' order by id`);
    return rows.map(([detail]) => JSON.parse(detail ?? '{}') as Record<string, unknown>);
  };
  try {
    expect((await recorded('tables-added')).flatMap(({ tables }) => tables)).toEqual(
      expect.arrayContaining(['visits', 'counters']),
    );
    await other.target.query(`update visits set note = 'changed by hand' where id = 1`);
    await other.target.query(`insert into visits values (3, 'secret')`);
    expect((await runCli(['backfill', 'visits', '--yes'], other.env)).code).toBe(0);
    await runCli(['pause'], other.env);
    await other.until(
      async () => (await other.rows('select state from tidegate_raw.status'))[0]?.[0] === 'paused',
      'it is paused',
    );
    await runCli(['backfill', 'visits', '--where', `note = 'secret'`, '--detach'], other.env);
    const { stdout } = await runCli(['jobs', '--json'], other.env);
    const { jobs } = JSON.parse(stdout) as { jobs: { id: string; state: string }[] };
    const waiting = jobs.filter(({ state }) => state === 'waiting').map(({ id }) => id);
    expect((await runCli(['jobs', 'cancel', ...waiting], other.env)).code).toBe(0);

    expect(await recorded('deletions-confirmed')).toMatchObject([{ tables: ['visits'], confirmed: 'option' }]);
    const ended = (await recorded('job-ended')).filter(({ table }) => table === 'visits');
    expect(ended).toMatchObject(
      [
        { kind: 'backfill', state: 'done', part: false, rows: 2, different: 1, extra: 1, repaired: 2 },
        { kind: 'backfill', state: 'cancelled', part: true, repaired: 0, reason: expect.stringMatching(/^by ./u) },
      ].map((one) => ({ ...one, requestedBy: expect.stringMatching(/.@./u), by: expect.stringMatching(/.@./u) })),
    );
    expect(JSON.stringify(ended)).not.toContain('secret');
    await other.run.stop();
    expect((await runCli(['reset'], other.env)).code).toBe(0);
    expect(await other.rows('select count(*) from tidegate_raw.jobs')).toEqual([['0']]);
  } finally {
    await other.end();
  }
});
