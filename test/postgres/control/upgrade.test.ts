import type { Connection } from 'mysql2/promise';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { compareDatabases, isEqual } from '../../../testing/compare/compare.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { RunProcess } from '../../../testing/run-process.ts';
import { runCli } from '../../support/cli.ts';
import { sharedServers } from '../../support/shared-servers.ts';
import { controlTables, idsOfEach, moveReplicas, turnIntoVersion01 } from './support/version-01.ts';

/** The target schemas of three replicas in one database. */
const schemas = ['raw', 'clinic_b', 'Clinic "C"'] as const;
type Schema = (typeof schemas)[number];
/** The last id that the fictitious version 0.1 gave out to a dead letter, a job and an event. */
const lastId = 5_000;
/** The target database belongs to the first replica; the others use it too. */
const sources = new Map<Schema, Replica>();
const runs = new Map<Schema, RunProcess>();
const admins = new Map<Schema, Connection>();
let target: pg.Pool;
/** The control tables before the way to the layout of 0.1. */
let kept: ReadonlyMap<Schema, ControlState>;

type Row = Readonly<Record<string, string | null>>;
type ControlState = Readonly<Record<(typeof controlTables)[number], readonly Row[]>>;

function of<T>(map: ReadonlyMap<Schema, T>, schema: Schema): T {
  const found = map.get(schema);
  if (found === undefined) throw new Error(`there is nothing of ${schema}`);
  return found;
}

function environment(schema: Schema): Record<string, string> {
  const { TARGET_DB_NAME = '', TARGET_DB_USER = '', TARGET_DB_PASSWORD = '' } = of(sources, 'raw').env;
  return {
    ...of(sources, schema).env,
    ...{ TARGET_DB_NAME, TARGET_DB_USER, TARGET_DB_PASSWORD, TARGET_DB_SCHEMA: schema },
    ...{ TABLES_REFRESH: 'counters', TABLES_EXCLUDE: 'old_visits' },
  };
}

/** The connection of the role that all three replicas use. */
function targetRole(): pg.ClientConfig {
  const { TARGET_DB_USER: user = '', TARGET_DB_PASSWORD: password = '' } = environment('raw');
  return { ...of(sources, 'raw').targetAdminOptions, user, password };
}

function start(schema: Schema, settings: Readonly<Record<string, string>> = {}): RunProcess {
  const run = new RunProcess({ ...environment(schema), ...settings });
  runs.set(schema, run);
  return run;
}

async function stopAll(): Promise<void> {
  await Promise.all([...runs.values()].filter(({ running }) => running).map(async (run) => await run.stop()));
}

function quoted(name: string): string {
  return pg.escapeIdentifier(name);
}

/** Rows of the target, each value as text. */
async function rows(query: string): Promise<Row[]> {
  const found = await target.query<Row>({ text: query, types: { getTypeParser: () => (value: string) => value } });
  return found.rows;
}

async function controlState(schema: string, order = 'order by t::text'): Promise<ControlState> {
  const state: [string, readonly Row[]][] = [];
  for (const table of controlTables)
    state.push([table, await rows(`select * from ${quoted(schema)}.${table} t ${order}`)]);
  return Object.fromEntries(state) as ControlState;
}

async function schemaNames(): Promise<string[]> {
  const found = await rows(`select nspname from pg_namespace where nspname like 'tidegate%' order by 1`);
  return found.map(({ nspname }) => nspname ?? '');
}

/** Waits until everything committed at the source before the call is at the target. */
async function caughtUp(schema: Schema, mark: number): Promise<void> {
  await of(admins, schema).query('insert into tide_mark values (?)', [mark]);
  await becomes(async () => (await rows(`select from ${quoted(schema)}.tide_mark where id = ${mark}`)).length === 1);
}

async function becomes(holds: () => Promise<boolean>): Promise<void> {
  await vi.waitUntil(holds, { timeout: 60_000, interval: 20 });
}

async function paused(run: RunProcess): Promise<void> {
  await run.logged('paused: `tidegate resume` continues');
}

/** The physical versions of all rows of a replica, by table; a rewritten row has a new version. */
async function rowVersions(schema: Schema): Promise<Map<string, Set<string | null>>> {
  const versions = new Map<string, Set<string | null>>();
  for (const { tablename } of await rows(
    `select tablename from pg_tables where schemaname = ${pg.escapeLiteral(schema)}`,
  )) {
    const found = await rows(`select ctid || ' ' || xmin as version from ${quoted(schema)}.${quoted(tablename ?? '')}`);
    versions.set(tablename ?? '', new Set(found.map(({ version }) => version ?? null)));
  }
  return versions;
}

/** The number of rows that were written since, by table. */
function written(
  before: ReadonlyMap<string, ReadonlySet<string | null>>,
  after: ReadonlyMap<string, ReadonlySet<string | null>>,
): Record<string, number> {
  const counts = [...after].map(([table, versions]) => [
    table,
    [...versions].filter((version) => before.get(table)?.has(version) !== true).length,
  ]);
  return Object.fromEntries(counts.filter(([, count]) => count !== 0)) as Record<string, number>;
}

beforeAll(async () => {
  const { source, target: server } = sharedServers();
  for (const schema of schemas) {
    const replica = await createReplica(source, server);
    sources.set(schema, replica);
    const admin = await replica.sourceAdmin();
    admins.set(schema, admin);
    for (const statement of [
      'create table tide_mark (id int not null primary key)',
      'create table visits (id int not null primary key, note varchar(40), seen date)',
      'create table letters (id int not null primary key, amount int)',
      'create table altered (id int not null primary key)',
      'create table old_visits (id int not null primary key)',
      'create table counters (n int)',
      `set session sql_mode = ''`,
      `insert into visits values ${Array.from({ length: 500 }, (_, at) => `(${at}, 'note ${at}', '0000-00-00')`).join()}`,
      'insert into altered values (1)',
      'insert into old_visits values (1)',
      'insert into counters values (1), (2)',
    ])
      await admin.query(statement);
  }
  target = new pg.Pool({ ...of(sources, 'raw').targetAdminOptions, max: schemas.length });
  target.on('error', () => undefined);
  await Promise.all(schemas.map(async (schema) => await makeReplica(schema)));
  kept = new Map(
    await Promise.all(schemas.map(async (schema) => [schema, await controlState(`tidegate_${schema}`)] as const)),
  );
  await turnIntoVersion01(targetRole(), schemas, lastId);
});

/** Streams, and gives the tables all states, two dead letters, and ended jobs. The second replica is paused, with a job that waits. */
async function makeReplica(schema: Schema): Promise<void> {
  const source = of(admins, schema);
  const first = start(schema, { TABLES_EXCLUDE: '' });
  await first.logged('streaming');
  await target.query(`alter table ${quoted(schema)}.letters add constraint small check (amount < 10)`);
  await source.query('insert into letters values (1, 1), (2, 20), (3, 30)');
  await caughtUp(schema, 1);
  await first.stop();
  const second = start(schema);
  await second.logged('streaming');
  await runCli(['verify', 'visits'], environment(schema));
  await becomes(
    async () =>
      (await rows(`select from ${quoted(`tidegate_${schema}`)}.jobs where kind = 'refresh' and state = 'done'`))
        .length > 0,
  );
  await source.query('alter table altered add column more int');
  // In 0.1, no suspended table returned by itself.
  await becomes(
    async () =>
      (
        await rows(`update ${quoted(`tidegate_${schema}`)}.tables set retry_at = null, decision = 'backfill'
          where table_name = 'altered' and state = 'suspended' returning table_name`)
      ).length === 1,
  );
  if (schema === 'clinic_b') {
    await runCli(['pause'], environment(schema));
    await paused(second);
    await runCli(['backfill', 'visits', '--detach'], environment(schema));
  }
  await second.stop();
}

afterAll(async () => {
  for (const run of runs.values()) await run.kill();
  for (const admin of admins.values()) admin.destroy();
  await target?.end();
  for (const replica of sources.values()) await replica.drop();
});

describe('before the first run on a database of 0.1', () => {
  test('the other commands name the version that they found, and change nothing', async () => {
    const before = await controlState('tidegate');

    const lag = await runCli(['lag', '--json'], environment('raw'));
    expect(lag).toMatchObject({ code: 2 });
    expect(JSON.parse(lag.stdout)).toMatchObject({
      state: 'unknown',
      problems: [expect.stringContaining('from Tidegate 0.1')],
    });
    for (const args of [['pause'], ['dead-letters', 'list']]) {
      const { code, stderr } = await runCli(args, environment('raw'));
      expect(code).toBe(1);
      expect(stderr).toContain('from Tidegate 0.1');
      expect(stderr).toContain('tidegate run');
    }

    expect(await controlState('tidegate')).toEqual(before);
  });

  test('check is ready and warns that the next run moves all replicas', async () => {
    const { code, stdout } = await runCli(['check', '--json'], environment('clinic_b'));
    expect(code).toBe(0);
    const { findings } = JSON.parse(stdout) as { findings: readonly Record<string, string>[] };
    expect(findings.filter(({ subject, level }) => subject === 'target' && level === 'warning')).toEqual([
      expect.objectContaining({ message: expect.stringContaining('0.1') }),
    ]);
  });
});

describe('run is refused by name and changes nothing', () => {
  let before: ControlState;
  let names: string[];

  async function refusal(): Promise<string> {
    before = await controlState('tidegate');
    names = await schemaNames();
    const run = start('raw');
    expect(await run.exited).toMatchObject({ code: 1 });
    const fatal = run.lines.find(({ level }) => level === 'fatal');
    expect(fatal).toMatchObject({ err: { kind: 'refused' } });
    return JSON.stringify(fatal);
  }

  afterEach(async () => {
    await of(runs, 'raw').kill();
    expect(await controlState('tidegate')).toEqual(before);
    expect(await schemaNames()).toEqual(names);
  });

  test('while a service of 0.1 holds a lease, even in the middle of a batch', async () => {
    const service = new pg.Client(targetRole());
    await service.connect();
    try {
      await service.query(
        `update tidegate.lease l set holder = 'reception:17', backend_pid = a.pid, backend_start = a.backend_start,
                expires_at = now() + interval '1 hour'
           from pg_stat_activity a where a.pid = pg_backend_pid() and replica = 'clinic_b'`,
      );
      await service.query('begin');
      await service.query(`update tidegate.checkpoint set "offset" = "offset" where replica = 'clinic_b'`);
      expect(await refusal()).toContain('schema clinic_b on reception:17');
    } finally {
      await service.end();
    }
  });

  test('where a schema has the name of a control schema and is not one', async () => {
    await target.query('create schema tidegate_clinic_b');
    await target.query('create table tidegate_clinic_b.budget (id int)');
    try {
      expect(await refusal()).toContain('tidegate_clinic_b already exists');
      expect(await rows('select * from tidegate_clinic_b.budget')).toEqual([]);
    } finally {
      await target.query('alter schema tidegate_clinic_b rename to finance');
    }
    names = await schemaNames();
  });

  test.each([
    ['a name too long for a control schema', 'x'.repeat(55), 'longer name than 54 bytes'],
    ['a name that control schemas have', 'Tidegate_Old', 'reserved for control schemas'],
  ])('where a target schema has %s, until 0.1 has reset that replica', async (_, replica, reason) => {
    await target.query(
      `insert into tidegate.tables (replica, table_name, state, updated_at) values ('${replica}', 't', 'streaming', now())`,
    );
    await target.query(`insert into tidegate.events (replica, kind, detail) values ('${replica}', 'reset', '{}')`);
    const found = await refusal();
    expect(found).toContain(replica);
    expect(found).toContain(reason);
    // A reset of 0.1 keeps the audit. The replica is not in the way any more, as the move below shows.
    await target.query(`delete from tidegate.tables where replica = '${replica}'`);
    before = await controlState('tidegate');
  });

  test('where a view reads the control tables of 0.1', async () => {
    await target.query('create view public.states as select table_name, state from tidegate.tables');
    try {
      expect(await refusal()).toContain('in use by view states');
    } finally {
      await target.query('drop view public.states');
    }
  });
});

/** Columns of the control table `tables` that 0.1 does not have. */
const lifeColumns = ['table_oid', 'made_columns', 'failures', 'retry_at', 'decision'];

describe('the first run moves all replicas of the database', () => {
  beforeAll(async () => {
    for (const schema of schemas) {
      const source = of(admins, schema);
      await source.query(`insert into visits values (1000, 'new', '2020-02-03'), (1001, 'new', null)`);
      await source.query(`update visits set note = 'changed' where id < 10`);
      await source.query('delete from visits where id between 100 and 104');
    }
  });

  test('and reads nothing again: exactly the changed rows are written, and all rows are equal', async () => {
    const before = new Map(
      await Promise.all(schemas.map(async (schema) => [schema, await rowVersions(schema)] as const)),
    );
    await Promise.all(
      schemas.map(async (schema) => {
        const run = start(schema);
        if (schema === 'clinic_b') await paused(run);
        else await run.logged('streaming');
      }),
    );
    // What 0.1 had paused stays paused.
    expect(written(of(before, 'clinic_b'), await rowVersions('clinic_b'))).toEqual({});
    await runCli(['resume'], environment('clinic_b'));

    for (const schema of schemas) {
      await caughtUp(schema, 2);
      await becomes(
        async () =>
          (await rows(`select from ${quoted(`tidegate_${schema}`)}.jobs where state in ('waiting', 'running')`))
            .length === 0,
      );
      expect(written(of(before, schema), await rowVersions(schema))).toEqual({ visits: 12, tide_mark: 1 });
      const run = of(runs, schema);
      expect(run.find('prepared')).toMatchObject({ copying: 0 });
      expect(run.find('table copied')).toBeUndefined();
      const { host, port, user, password } = sharedServers().source;
      const compared = await compareDatabases({
        source: { host, port, user, password },
        database: of(sources, schema).database,
        target: of(sources, 'raw').targetAdminOptions,
        schema,
        tables: ['visits', 'counters', 'tide_mark', 'old_visits'],
      });
      expect(compared.filter((table) => !isEqual(table))).toEqual([]);
    }
  });

  test('and keeps their state, by its new names', async () => {
    expect(await schemaNames()).toEqual(['tidegate', ...schemas.map((schema) => `tidegate_${schema}`)].toSorted());
    for (const [at, schema] of schemas.entries()) {
      const was = of(kept, schema);
      const is = await controlState(`tidegate_${schema}`);
      const shifted = (row: Row) => ({ ...row, id: String(Number(row['id']) + at * idsOfEach) });
      const without = (found: readonly Row[], ...columns: string[]) =>
        found.map((row) => Object.fromEntries(Object.entries(row).filter(([column]) => !columns.includes(column))));

      expect(Object.fromEntries(is.tables.map(({ table_name, state }) => [table_name, state]))).toEqual({
        ...{ altered: 'suspended', counters: 'full-refresh', letters: 'streaming', old_visits: 'excluded' },
        ...{ tide_mark: 'streaming', visits: 'streaming' },
      });
      expect(without(is.tables, 'updated_at', ...lifeColumns)).toEqual(
        without(was.tables, 'updated_at', ...lifeColumns),
      );
      // The tables are adopted, and what is suspended returns by itself.
      for (const { table_name, table_oid, made_columns, state, retry_at, decision } of is.tables) {
        const [oid] = await rows(`select '${quoted(schema)}.${String(table_name)}'::regclass::oid::text as oid`);
        expect(table_oid).toBe(oid?.['oid']);
        expect(made_columns).toContain('"_loaded_at"');
        expect([retry_at !== null, decision]).toEqual([state === 'suspended', null]);
      }
      expect(is.schema_versions).toEqual(was.schema_versions);
      expect(was.conversions.length).toBeGreaterThan(0);
      expect(is.conversions.map(({ table_name, column_name, kind }) => [table_name, column_name, kind])).toEqual(
        was.conversions.map(({ table_name, column_name, kind }) => [table_name, column_name, kind]),
      );
      expect(was.dead_letters).toHaveLength(2);
      expect(is.dead_letters).toEqual(was.dead_letters.map(shifted));
      const ended = was.jobs.filter(({ state }) => state !== 'waiting');
      expect(ended.length).toBeGreaterThan(1);
      expect(is.jobs).toEqual(expect.arrayContaining(ended.map(shifted)));
      expect(is.jobs).toHaveLength(was.jobs.length);
      expect(is.events).toEqual(expect.arrayContaining(was.events.map(shifted)));
      expect(is.events.map(({ kind }) => kind)).toEqual(
        expect.arrayContaining(['table-suspended', 'table-excluded', 'snapshot-finished']),
      );
      expect(Number(is.lease[0]?.['epoch'])).toBeGreaterThan(Number(was.lease[0]?.['epoch']));
      for (const column of ['source_identity', 'source_database'])
        expect(is.checkpoint[0]?.[column]).toBe(was.checkpoint[0]?.[column]);
    }
  });

  test('and a job that waited is done under its old id', async () => {
    const [waited] = of(kept, 'clinic_b').jobs.filter(({ state }) => state === 'waiting');
    const [job] = await rows(`select * from tidegate_clinic_b.jobs where id = ${Number(waited?.['id']) + idsOfEach}`);
    expect(job).toMatchObject({ table_name: 'visits', kind: 'backfill', state: 'done', repaired: '0' });
  });

  test('and no id of a dead letter, a job or an event is given out twice', async () => {
    await Promise.all(schemas.map(async (schema) => await runCli(['verify', 'visits'], environment(schema))));
    for (const schema of schemas) {
      await of(admins, schema).query('insert into letters values (4, 40)');
      for (const table of ['dead_letters', 'jobs', 'events'])
        await becomes(
          async () =>
            (await rows(`select from ${quoted(`tidegate_${schema}`)}.${table} where id > ${lastId}`)).length > 0,
        );
      const [letter] = await rows(`select id from ${quoted(`tidegate_${schema}`)}.dead_letters order by at desc`);
      expect(Number(letter?.['id'])).toBeGreaterThan(lastId);
    }
  });

  test('and leaves nothing in the shared schema but a migration that 0.1 does not know', async () => {
    expect(await rows(`select tablename from pg_tables where schemaname = 'tidegate' order by 1`)).toEqual([
      { tablename: 'migrations' },
      { tablename: 'migrations_lock' },
    ]);
    expect(await rows('select max(name) as last from tidegate.migrations')).toEqual([
      { last: '0010-schema-per-replica' },
    ]);
  });

  test('and the audit cannot be changed there either', async () => {
    for (const schema of schemas)
      await expect(target.query(`delete from ${quoted(`tidegate_${schema}`)}.events`)).rejects.toMatchObject({
        code: '42501',
      });
  });
});

test('a second start finds everything as it is', async () => {
  await stopAll();
  const before = await controlState('tidegate_raw');
  const versions = await rowVersions('raw');
  const run = start('raw');
  await run.logged('streaming');
  await run.stop();

  const after = await controlState('tidegate_raw');
  for (const table of ['tables', 'schema_versions', 'conversions', 'dead_letters', 'controls', 'jobs'] as const)
    expect(after[table]).toEqual(before[table]);
  expect(written(versions, await rowVersions('raw'))).toEqual({});
  expect(after.events).toHaveLength(before.events.length + 2);
});

test('services that start while another one moves the replicas go on when it is done', async () => {
  const starting = ['raw', 'Clinic "C"'] as const;
  await turnIntoVersion01(targetRole(), schemas, lastId);
  await moveReplicas(targetRole(), async () => {
    for (const schema of starting) start(schema);
    await becomes(
      async () =>
        (
          await rows(`select from pg_stat_activity
            where datname = current_database() and application_name = 'tidegate check' and wait_event_type = 'Lock'`)
        ).length === starting.length,
    );
  });
  await Promise.all(starting.map(async (schema) => await of(runs, schema).logged('streaming')));
  for (const schema of starting) await caughtUp(schema, 3);
});
