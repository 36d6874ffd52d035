import type { Connection, RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startSource } from '../../testing/servers/source.ts';
import type { SourceServer } from '../../testing/servers/server.ts';
import { type Logged, judge, readDocumentedShapes } from './general-log/logged.ts';
import { Streaming } from '../pipeline/stream/support/streaming.ts';
import { runCli } from '../support/cli.ts';
import { sharedServers } from '../support/shared-servers.ts';

const logging = ['--general-log=1', '--log-output=TABLE'];

/** Lets Tidegate do everything it does at a source whose general log is on. Returns the log entries of its two users. */
async function everythingLogged(source: SourceServer, engine: 'InnoDB' | 'MyISAM'): Promise<Logged[]> {
  const streaming = await Streaming.start(
    async (admin) => {
      await admin.query(`create table parent (id int not null primary key) engine=InnoDB`);
      await admin.query(
        `create table child (a varchar(20), b binary(2), id int, f float, parent int, primary key (a, b, id),
           foreign key (parent) references parent (id) on delete cascade) engine=InnoDB`,
      );
      await admin.query(
        `create table \`patient's\` (id bigint not null primary key, Name varchar(50)) engine=${engine}`,
      );
      await admin.query(`create table keyless (a int not null, b int, unique key \`a's\` (a)) engine=${engine}`);
      await admin.query(`create table hopeless (a int) engine=${engine}`);
      await admin.query(`insert into parent values (1)`);
      const rows = Array.from({ length: 1500 }, (_, id) => `('it''s ${id}', 'x', ${id}, 1.5, 1)`);
      await admin.query(`insert into child values ${rows.join(', ')}`);
      await admin.query(`insert into keyless (a) values ${rows.map((_, id) => `(${id})`).join(', ')}`);
      await admin.query(`insert into \`patient's\` values (1, 'canary')`);
    },
    { source, target: sharedServers().target },
    { TABLES_REFRESH: 'hopeless' },
  );
  const [reader = '', replicator = ''] = [
    streaming.env['SOURCE_DB_READONLY_USER'],
    streaming.env['SOURCE_DB_REPLICATION_USER'],
  ];
  try {
    const admin = streaming.source;
    await giveRole(admin, source.flavor, [reader, replicator]);
    expect((await runCli(['check'], streaming.env)).code).toBe(0);
    expect((await runCli(['lag'], streaming.env)).code).toBe(0);
    await admin.query(`update child set f = 2.5 where id < 10`);
    await streaming.caughtUp();
    for (const args of [
      ['verify', '--repair'],
      ['backfill', 'child', '--where', `a like '%1' and id > 7`],
      ['backfill', 'keyless', '--where', 'a between 5 and 700'],
    ])
      expect((await runCli(args, streaming.env)).code).toBe(0);
    // Tidegate reconnects, finds the end of the binlog again and continues.
    await killSessions(admin, [reader, replicator]);
    await admin.query(`insert into \`patient's\` values (2, 'canary')`);
    await streaming.caughtUp();
    await streaming.run.stop();
    expect((await runCli(['resync'], { ...streaming.env, TABLES_REFRESH: 'hopeless' })).code).toBe(0);
    // A new table is read beside the stream, and the start is from a checkpoint.
    await admin.query(`create table later (id int not null primary key) engine=${engine}`);
    await streaming.another(['--until-caught-up']).succeeded();
    const [rows] = await admin.query<RowDataPacket[]>(
      `select user_host, command_type, convert(argument using utf8mb4) as text from mysql.general_log`,
    );
    return rows.flatMap((row): Logged[] => {
      const user = [reader, replicator].find((name) => String(row['user_host']).includes(`[${name}]`));
      if (user === undefined) return [];
      return [{ role: user === reader ? 'reader' : 'replicator', command: row['command_type'], text: row['text'] }];
    });
  } finally {
    await streaming.end();
  }
}

/** A role without privileges that is active from the login on; check must look into it. */
async function giveRole(admin: Connection, flavor: 'mariadb' | 'mysql', users: readonly string[]): Promise<void> {
  try {
    await admin.query('create role looker');
  } catch (error) {
    // 1064 (syntax error): this server has no roles.
    if ((error as { errno?: number }).errno === 1064) return;
    throw error;
  }
  for (const user of users) {
    await admin.query(`grant looker to ${user}@'%'`);
    await admin.query(
      flavor === 'mariadb' ? `set default role looker for ${user}@'%'` : `set default role looker to ${user}@'%'`,
    );
  }
}

async function killSessions(admin: Connection, users: readonly string[]): Promise<void> {
  const [sessions] = await admin.query<RowDataPacket[]>(
    'select id from information_schema.processlist where user in (?)',
    [users],
  );
  expect(sessions.length).toBeGreaterThan(0);
  for (const { id } of sessions) await admin.query(`kill ${Number(id)}`).catch(() => undefined);
}

describe('every statement that the source logs for both users during check, run, lag, backfills and a reconnect', () => {
  let source: SourceServer;

  beforeAll(async () => {
    source = await startSource({ flavor: 'mariadb', version: '10.11', args: logging });
  });

  afterAll(async () => {
    await source?.stop();
  });

  test('is in the list of docs/safety.md', async () => {
    const logged = await everythingLogged(source, 'InnoDB');
    const { seen, unlisted } = await judge(logged);
    expect(unlisted).toEqual([]);
    // Everything happened: chunks, the read view, roles, the negotiation of the dump and the dump.
    expect(seen.reader.size).toBeGreaterThan(15);
    expect(seen.replicator.size).toBeGreaterThan(12);
    expect(logged.filter(({ command }) => command === 'Binlog Dump').length).toBeGreaterThan(1);
    for (const index of ['primary', '`…`'])
      expect([...seen.reader].filter((shape) => shape.includes(`force index (${index}) where`))).toHaveLength(2);
  });
});

const servers = [
  { flavor: 'mariadb', version: '10.5', engine: 'InnoDB', args: ['--binlog-checksum=NONE'] },
  { flavor: 'mariadb', version: '11.8', engine: 'MyISAM', args: [] },
  { flavor: 'mysql', version: '5.6', engine: 'MyISAM', args: [] },
  { flavor: 'mysql', version: '9.7', engine: 'InnoDB', args: [] },
] as const;

/** Sent only where a statement without a limit of the server was hung up. */
const afterHangUp: ReadonlySet<string> = new Set(['show processlist']);

function describeMatrix(): void {
  const seen = { reader: new Set<string>(), replicator: new Set<string>() };

  test.for(servers)('$flavor $version', async ({ engine, args, ...server }) => {
    const source = await startSource({ ...server, args: [...logging, ...args] });
    try {
      const judged = await judge(await everythingLogged(source, engine));
      expect(judged.unlisted).toEqual([]);
      for (const role of ['reader', 'replicator'] as const)
        for (const shape of judged.seen[role]) seen[role].add(shape);
    } finally {
      await source.stop();
    }
  });

  test('the list contains only statements that are sent', async () => {
    const documented = await readDocumentedShapes();
    for (const role of ['reader', 'replicator'] as const) {
      process.stdout.write(
        `${role}:\n${[...seen[role]]
          .toSorted()
          .map((shape) => `  ${shape};\n`)
          .join('')}`,
      );
      const listed = [...documented.both, ...documented[role]].filter((shape) => !afterHangUp.has(shape));
      expect(listed.toSorted()).toEqual([...seen[role]].filter((shape) => !afterHangUp.has(shape)).toSorted());
    }
  });
}

// The matrix covers every supported server: `npm run test:matrix`.
if (process.env['TIDEGATE_MATRIX'] === '1') describe('the matrix of servers', { timeout: 300_000 }, describeMatrix);
