import type { Connection, RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RunProcess } from '../../../testing/run-process.ts';
import { startSource } from '../../../testing/servers/source.ts';
import type { SourceServer } from '../../../testing/servers/server.ts';
import type { Finding } from '../../../src/errors/finding.ts';
import { loadConfig } from '../../../src/config/load-config.ts';
import { findingsOf, judgeForbiddenGrants } from './forbidden.ts';
import { runCli } from '../../support/cli.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { sharedServers } from '../../support/shared-servers.ts';

/** This suite has its own server, because grants to PUBLIC would apply to the users of every other suite. */
let source: SourceServer;

beforeAll(async () => {
  source = await startSource({ flavor: 'mariadb', version: '10.11' });
});

afterAll(async () => {
  await source?.stop();
});

test('every privilege, on each scope, held directly, through a role or through PUBLIC, is refused by its name', async () => {
  const { judged, refused, wrong } = await judgeForbiddenGrants(source, sharedServers().target);
  expect(wrong).toEqual([]);
  expect(judged).toBeGreaterThan(600);
  expect(refused).toBeGreaterThan(550);
});

describe('by the program', () => {
  let replica: Replica;
  let admin: Connection;

  beforeAll(async () => {
    replica = await createReplica(source, sharedServers().target);
    admin = await replica.sourceAdmin();
    await admin.query('create table patient (PatNum bigint not null primary key) engine=InnoDB');
    await admin.query('insert into patient values (1)');
  });

  afterAll(async () => {
    await admin?.end();
    await replica?.drop();
  });

  const account = (role: 'reader' | 'replicator') =>
    `${replica.env[role === 'reader' ? 'SOURCE_DB_READONLY_USER' : 'SOURCE_DB_REPLICATION_USER']}@'%'`;

  async function errors(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Finding[]> {
    const { code, stdout } = await runCli(['check', '--json', ...args], env);
    const { findings } = JSON.parse(stdout) as { findings: Finding[] };
    const found = findings.filter(({ level }) => level === 'error');
    expect(code).toBe(found.length > 0 ? 1 : 0);
    return found;
  }

  test.each([
    ['SUPER', 'reader', 'grant super on *.* to ACCOUNT', 'revoke super on *.* from ACCOUNT'],
    ['SELECT', 'replicator', 'grant select on DB.* to ACCOUNT', 'revoke select on DB.* from ACCOUNT'],
    ['DELETE', 'replicator', 'grant delete on DB.patient to public', 'revoke delete on DB.patient from public'],
  ] as const)('%s of the %s ends check with 1 and run with 2', async (privilege, role, grant, revoke) => {
    const sql = (text: string) => text.replace('ACCOUNT', account(role)).replace('DB', replica.database);
    await admin.query(sql(grant));
    try {
      const found = await errors([], replica.env);
      const named = found.filter(({ message }) => message.includes(`holds ${privilege} on`));
      expect(named.map(({ subject, kind }) => [subject, kind])).toContainEqual([`${role} grants`, 'privileged-source']);
      const run = new RunProcess(replica.env);
      expect((await run.exited).code).toBe(2);
      expect(run.tail()).toContain(privilege);
    } finally {
      await admin.query(sql(revoke));
    }
    expect(await errors([], replica.env)).toEqual([]);
  });

  test('accounts that people use keep their rights: what is printed, with passwords filled in, makes others', async () => {
    const [owner, application] = ["people_root@'127.0.0.1'", "people_app@'127.0.0.1'"] as const;
    await admin.query(`create user ${owner} identified by 'owned', ${application} identified by 'applied'`);
    await admin.query(`grant all on *.* to ${owner} with grant option`);
    await admin.query(`grant select, insert, update, delete on ${replica.database}.* to ${application}`);
    const before = [await grantsOf(admin, owner), await grantsOf(admin, application)];
    const used = {
      ...replica.env,
      SOURCE_DB_READONLY_USER: 'people_app',
      SOURCE_DB_READONLY_PASSWORD: 'applied',
      SOURCE_DB_REPLICATION_USER: 'people_root',
      SOURCE_DB_REPLICATION_PASSWORD: 'owned',
    };
    const passwords = { SOURCE_DB_READONLY_PASSWORD: 'own-1', SOURCE_DB_REPLICATION_PASSWORD: 'own-2' };
    const own: Record<string, string> = { ...used, ...passwords };
    try {
      const remedies = new Set((await errors([], used)).map(({ remedy = '' }) => remedy));
      expect(remedies.size).toBe(2);
      for (const remedy of remedies) {
        for (const sql of remedy.match(/(?:set session|create user|grant) .*?;/g) ?? [])
          await admin.query(sql.replace(/<(\w+)>/, (_, name: keyof typeof passwords) => `'${passwords[name]}'`));
        const [, name = '', user = ''] = /Then set (\w+)=(\w+)/.exec(remedy) ?? [];
        own[name] = user;
      }
      expect(await errors([], own)).toEqual([]);
      expect([await grantsOf(admin, owner), await grantsOf(admin, application)]).toEqual(before);
    } finally {
      for (const name of ['people_root', 'people_app', 'tidegate_reader', 'tidegate_binlog'])
        await admin.query(`drop user if exists ${name}@'127.0.0.1'`);
    }
  });

  test('--allow-privileged-source turns the error into a warning on every start, and only in development', async () => {
    await admin.query(`grant insert on ${replica.database}.* to ${account('reader')}`);
    try {
      expect(await errors(['--allow-privileged-source'], replica.env)).toEqual([]);
      for (let start = 0; start < 2; start++) {
        const run = new RunProcess(replica.env, ['--until-caught-up', '--allow-privileged-source']);
        await run.succeeded();
        const warned = run.lines.filter(({ msg }) => msg.includes('holds INSERT on'));
        expect(warned).toMatchObject([
          { level: 'warn', remedy: expect.stringContaining('create user `tidegate_reader`') as string },
        ]);
      }
      const production = { ...replica.env, ENVIRONMENT: 'production' };
      const found = await errors(['--allow-privileged-source'], production);
      expect(found.map(({ subject }) => subject)).toEqual(['options', 'reader grants']);
      const run = new RunProcess(production, ['--allow-privileged-source']);
      expect((await run.exited).code).toBe(2);
    } finally {
      await admin.query(`revoke insert on ${replica.database}.* from ${account('reader')}`);
    }
    // In production the option is an error even without anything to warn of.
    expect(await errors(['--allow-privileged-source'], { ...replica.env, ENVIRONMENT: 'production' })).toHaveLength(1);
  });

  test.each(['reader', 'replicator'] as const)(
    'a right that the %s gains while the service runs is refused on its next connection, until it is taken away',
    async (role) => {
      const run = new RunProcess(replica.env);
      try {
        await run.logged('streaming');
        await admin.query(`grant insert on ${replica.database}.* to ${account(role)}`);
        // It may open its dump after it has said that it streams.
        const isRefused = async () => {
          await killSessions(admin, replica);
          return run.find('refused') !== undefined;
        };
        await expect.poll(isRefused).toBe(true);
        const { err } = await run.logged('refused');
        expect(err).toMatchObject({ kind: 'privileged-source', message: expect.stringContaining('INSERT') as string });
        await admin.query(`revoke insert on ${replica.database}.* from ${account(role)}`);
        const before = run.lines.length;
        // It asks again once a minute, so one of the two is enough.
        if (role === 'reader') await run.logged('streaming', (line) => run.lines.indexOf(line) >= before);
      } finally {
        await run.stop();
      }
    },
  );
});

async function grantsOf(admin: Connection, account: string): Promise<unknown> {
  const [rows] = await admin.query(`show grants for ${account}`);
  return rows;
}

/** Breaks every connection of Tidegate. */
async function killSessions(admin: Connection, { env }: Replica): Promise<void> {
  const [sessions] = await admin.query<RowDataPacket[]>(
    'select id as thread from information_schema.processlist where user in (?, ?)',
    [env['SOURCE_DB_READONLY_USER'], env['SOURCE_DB_REPLICATION_USER']],
  );
  for (const session of sessions) await admin.query(`kill ${Number(session['thread'])}`).catch(() => undefined);
}

/** MySQL up to 5.6 and MariaDB up to 10.9 are delivered like this: every account may write to `test` databases. */
async function refusesAnonymousRights(server: SourceServer): Promise<void> {
  const replica = await createReplica(server, sharedServers().target);
  const admin = await replica.sourceAdmin();
  try {
    await admin.query('create table patient (PatNum bigint not null primary key) engine=InnoDB');
    const { source: config } = loadConfig({ ...replica.env });
    expect(await findingsOf(config, server.flavor, 'replicator')).toEqual([]);
    await admin.query(
      `insert into mysql.db (Host, Db, User, Select_priv, Insert_priv) values ('%', 'clinic\\\\_%', '', 'Y', 'Y')`,
    );
    await admin.query('flush privileges');
    // Some servers apply only the best matching row. An account that may read a table, but has no row, then has these rights.
    const reader = `${config.reader.user}@'%'`;
    await admin.query(`revoke all privileges, grant option from ${reader}`);
    await admin.query(`grant select on ${replica.database}.patient to ${reader}`);
    for (const role of ['reader', 'replicator'] as const) {
      const findings = await findingsOf(config, server.flavor, role);
      // A further finding says that the reader sees only one table.
      const [error, ...others] = findings.filter(({ level }) => level === 'error');
      expect(error).toMatchObject({ message: expect.stringContaining('INSERT') as string });
      expect(others).toEqual([]);
    }
  } finally {
    await admin.query(`delete from mysql.db where User = ''`);
    await admin.query('flush privileges');
    admin.destroy();
    await replica.drop();
  }
}

test('rights that no SHOW GRANTS prints are refused too', async () => {
  await refusesAnonymousRights(source);
});

const servers = [
  { flavor: 'mariadb', version: '10.5' },
  { flavor: 'mariadb', version: '10.11' },
  { flavor: 'mariadb', version: '11.8' },
  { flavor: 'mysql', version: '5.6' },
  { flavor: 'mysql', version: '9.7' },
] as const;

function describeMatrix(): void {
  test.for(servers)('$flavor $version', async (server) => {
    const source = await startSource(server);
    try {
      const { judged, refused, wrong } = await judgeForbiddenGrants(source, sharedServers().target);
      process.stdout.write(`${server.flavor} ${server.version}: ${judged} accounts judged, ${refused} to be refused\n`);
      expect(wrong).toEqual([]);
      expect(refused).toBeGreaterThan(150);
      await refusesAnonymousRights(source);
    } finally {
      await source.stop();
    }
  });
}

// The matrix covers every supported server: `npm run test:matrix`.
if (process.env['TIDEGATE_MATRIX'] === '1') describe('the matrix of servers', { timeout: 600_000 }, describeMatrix);
