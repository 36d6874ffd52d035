import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Finding } from '../../src/errors/finding.ts';
import type { SourceServer } from '../../testing/servers/server.ts';
import { startSource } from '../../testing/servers/source.ts';
import { runCli } from '../support/cli.ts';
import { sharedServers } from '../support/shared-servers.ts';
import { Streaming } from './stream/support/streaming.ts';

interface Definition {
  readonly columns: readonly { readonly name: string; readonly perSession?: string }[];
}

describe.each([
  ['mariadb', '10.11'],
  ['mysql', '9.7'],
] as const)('virtual columns whose values depend on the session, on %s %s', (flavor, version) => {
  let server: SourceServer;
  let streaming: Streaming;
  // MySQL refuses current_user() and now() in a column.
  const more =
    flavor === 'mariadb' ? ', who varchar(80) as (current_user()) virtual, late int as (at < now()) virtual' : '';
  const omitted = flavor === 'mariadb' ? ['day', 'of_day', 'who', 'late'] : ['day', 'of_day'];
  const carried = ['id', 'at', 'name', 'twice', 'shown', 'kept'];

  beforeAll(async () => {
    const { source, target } = sharedServers();
    const isShared = source.flavor === flavor && source.version === version;
    server = isShared ? source : await startSource({ flavor, version });
    streaming = await Streaming.start(
      async (admin) => {
        await admin.query(`set time_zone = '+09:00'`);
        await admin.query(
          `create table visit (id int not null primary key, at timestamp null, name varchar(20),
             day date as (date(at)) virtual, of_day int as (day(day)) virtual, twice int as (id * 2) virtual,
             shown varchar(40) as (concat(name, '!')) virtual, kept date as (date(at)) stored${more})`,
        );
        // MariaDB has no virtual column that is not null, so none can be a key there.
        if (flavor === 'mysql')
          await admin.query(
            `create table by_day (day date as (date(at)) virtual not null, at timestamp not null, unique key (day))`,
          );
        await admin.query(
          `insert into visit (id, at, name) values (1, '2024-01-07 03:00:00', 'one'), (2, null, 'two')`,
        );
      },
      { source: server, target },
    );
    await streaming.source.query(`set time_zone = '+09:00'`);
  });

  afterAll(async () => {
    await streaming?.end();
    await server?.stop();
  });

  const columnsAtTarget = async () =>
    (
      await streaming.rows(
        `select attname from pg_attribute where attrelid = 'visit'::regclass and attnum > 0 and not attisdropped order by attname`,
      )
    ).flat();
  const expectExact = async () => {
    await streaming.caughtUp();
    expect(await columnsAtTarget()).toEqual([...carried, '_loaded_at'].toSorted());
    const [found] = await streaming.source.query({
      sql: `select cast(id as char), cast(twice as char), shown, date_format(kept, '%Y-%m-%d') from visit order by id`,
      rowsAsArray: true,
    });
    expect(await streaming.rows('select id, twice, shown, kept from visit order by id')).toEqual(found);
    expect((await runCli(['verify', 'visit'], streaming.env)).code).toBe(0);
  };

  test('are named by check with the reason, and no other column is', async () => {
    const { stdout } = await runCli(['check', '--json'], streaming.env);
    const found = (JSON.parse(stdout) as { findings: Finding[] }).findings.filter(
      ({ level, subject }) => level === 'warning' && subject === 'table visit',
    );
    expect(found.map(({ message }) => /^column (\w+) is left out/.exec(message)?.[1])).toEqual(omitted);
    expect(found[0]?.message).toContain(`column at, a timestamp, in the session's time zone`);
    expect(found[1]?.message).toContain('column day, which is virtual and depends on the session');
    const rules = omitted.map((name) => `visit.${name}=omit`).join(',');
    const confirmed = await runCli(['check'], { ...streaming.env, COLUMN_RULES: rules });
    expect(confirmed.code).toBe(0);
    expect(confirmed.stdout).not.toContain('table visit');
    for (const column of omitted)
      await streaming.logged('column left out', (line) => line['table'] === 'visit' && line['column'] === column);
  });

  if (flavor === 'mysql')
    test('that are in the key keep the table from being replicated', async () => {
      const { stdout } = await runCli(['check', '--json'], streaming.env);
      const [found] = (JSON.parse(stdout) as { findings: Finding[] }).findings.filter(
        ({ subject }) => subject === 'table by_day',
      );
      expect(found?.message).toContain('column day: it is in the key, and its value depends on the session');
    });

  test('are not replicated, and the rest of the table is exact in snapshot and stream, whatever the zone of the writer', async () => {
    await expectExact();
    await streaming.source.query(
      `insert into visit (id, at, name) values (3, '2024-03-01 08:59:59', 'three'), (4, null, null)`,
    );
    await streaming.source.query(`set time_zone = '-11:00'`);
    await streaming.source.query(`update visit set name = 'new', at = '2024-05-05 23:00:00' where id = 2`);
    await streaming.source.query('update visit set id = 9 where id = 1');
    await streaming.source.query('delete from visit where id = 4');
    await expectExact();
    expect((await runCli(['verify', 'visit', '--repair'], streaming.env)).code).toBe(0);
    expect((await streaming.tableState('visit')).state).toBe('streaming');
  });

  test('that an earlier version has replicated are dropped at the target, and the table is read again', async () => {
    await streaming.run.stop();
    const { target } = streaming;
    const { rows } = await target.query<{ definition: Definition }>(
      `select definition from tidegate_raw.schema_versions where table_name = 'visit'`,
    );
    const columns = (rows[0] as { definition: Definition }).definition.columns.map((one) => ({
      ...one,
      perSession: undefined,
    }));
    const add = omitted.map((name) => `add column ${name} text`).join(', ');
    await target.query(`alter table visit ${add}`);
    await target.query(`update visit set ${omitted[0]} = 'wrong'`);
    await target.query(
      `update tidegate_raw.schema_versions set definition = jsonb_set(definition, '{columns}', $1) where table_name = 'visit'`,
      [JSON.stringify(columns)],
    );
    await target.query(
      `update tidegate_raw.tables set made_columns = (
         select jsonb_object_agg(attname, attnum) from pg_attribute
          where attrelid = 'visit'::regclass and attnum > 0 and not attisdropped) where table_name = 'visit'`,
    );
    await streaming.source.query(`insert into visit (id, at, name) values (5, '2024-06-01 01:00:00', 'meanwhile')`);
    streaming.follow(streaming.another([], {}));
    await streaming.run.logged('streaming');
    await streaming.until(async () => (await streaming.tableState('visit')).state === 'streaming', 'visit streams');
    await expectExact();
    expect(await streaming.rows(`select kind, state from tidegate_raw.jobs where requested_by = 'table life'`)).toEqual(
      [['backfill', 'done']],
    );
  });
});
