import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Finding } from '../../src/errors/finding.ts';
import { freePort } from '../../testing/servers/private-process.ts';
import { startSource } from '../../testing/servers/source.ts';
import type { SourceServer } from '../../testing/servers/server.ts';
import { runCli } from '../support/cli.ts';
import { type Replica, createReplica } from '../../testing/replica.ts';
import { RunProcess } from '../../testing/run-process.ts';
import { sharedServers } from '../support/shared-servers.ts';

let replica: Replica;

beforeAll(async () => {
  const { source, target } = sharedServers();
  replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  await admin.query('create table patient (PatNum bigint not null primary key, LName varchar(100)) engine=MyISAM');
  await admin.query('create table keyless (a int) engine=MyISAM');
  await admin.query("insert into patient values (1, 'canary-value')");
  await admin.end();
});

afterAll(async () => {
  await replica?.drop();
});

/** Runs check and run with a changed environment. Both must refuse, print no secret, and leave the target unchanged. */
async function refused(change: Readonly<Record<string, string>>, base: Replica = replica): Promise<Finding[]> {
  return await found(change, base, async (env) => {
    const ran = await runCli(['run'], env);
    expect(ran.code, ran.stdout + ran.stderr).toBe(2);
    return ran.stdout + ran.stderr;
  });
}

/** The same for what may pass by itself: `run` names it as well, and looks again until it is stopped. */
async function repeated(change: Readonly<Record<string, string>>): Promise<Finding[]> {
  return await found(change, replica, async (env) => {
    const run = new RunProcess(env);
    await run.logged('the checks are repeated');
    const printed = run.tail(100);
    await run.stop();
    return printed;
  });
}

async function found(
  change: Readonly<Record<string, string>>,
  base: Replica,
  run: (env: Readonly<Record<string, string>>) => Promise<string>,
): Promise<Finding[]> {
  const env = { ...base.env, ...change };
  const before = await schemasOf(base);
  const checked = await runCli(['check', '--json'], env);
  expect(checked.code, checked.stdout + checked.stderr).toBe(1);
  const printed = checked.stdout + checked.stderr + (await run(env));
  for (const secret of [
    base.readerPassword,
    base.replicatorPassword,
    base.targetPassword,
    'wrong-password',
    'canary-value',
  ])
    expect(printed).not.toContain(secret);
  expect(await schemasOf(base)).toEqual(before);
  const { findings } = JSON.parse(checked.stdout) as { findings: Finding[] };
  const errors = findings.filter(({ level }) => level === 'error');
  for (const { remedy } of errors) expect(remedy).toBeTruthy();
  return errors;
}

async function schemasOf({ targetAdmin }: Replica): Promise<unknown[]> {
  const { rows } = await targetAdmin.query(
    `select n.nspname, c.relname from pg_namespace n left join pg_class c on c.relnamespace = n.oid
      where n.nspname !~ '^(pg_|information_schema)' order by 1, 2`,
  );
  return rows;
}

const only = (errors: readonly Finding[]) => {
  expect(errors).toHaveLength(1);
  return errors[0] as Finding;
};

describe('a correct source and target', () => {
  it('are ready; a table without a key is named with a remedy', async () => {
    const { code, stdout } = await runCli(['check'], replica.env);
    expect(stdout).toContain('1 tables will be replicated, 1 left out');
    expect(stdout).toMatch(
      /warning +table keyless: left out: it has no primary key, and no unique index of whole not-null columns/,
    );
    expect(stdout).toContain('TABLES_EXCLUDE');
    expect(code).toBe(0);
  });

  it('are not changed by check', async () => {
    const before = await schemasOf(replica);
    await runCli(['check'], replica.env);
    expect(await schemasOf(replica)).toEqual(before);
  });
});

describe('one clear error for', () => {
  it('settings: every problem at once, by name and without values', async () => {
    const { code, stderr } = await runCli(['run'], { SOURCE_DB_PORT: 'canary-value', TARGET_DB_SCHEMA: 'pg_mine' });
    expect(code).toBe(1);
    for (const name of [
      'SOURCE_DB_HOST',
      'SOURCE_DB_PORT',
      'SOURCE_DB_READONLY_PASSWORD',
      'TARGET_DB_SCHEMA',
      'TARGET_DB_PASSWORD',
    ])
      expect(stderr).toContain(name);
    expect(stderr).not.toContain('canary-value');
  });

  it.each([
    ['SOURCE_DB_READONLY_PASSWORD', 'source (reader)', 'source-login'],
    ['SOURCE_DB_REPLICATION_PASSWORD', 'source (replicator)', 'source-login'],
    ['TARGET_DB_PASSWORD', 'target', 'target-login'],
  ])('a wrong %s', async (name, subject, kind) => {
    expect(only(await refused({ [name]: 'wrong-password' }))).toMatchObject({ subject, kind });
  });

  it('a host that does not exist', async () => {
    const errors = await repeated({ SOURCE_DB_HOST: 'db.clinic.invalid' });
    expect(errors.map(({ kind }) => kind)).toEqual(['source-unreachable', 'source-unreachable']);
    const error = only(await repeated({ TARGET_DB_HOST: 'db.clinic.invalid' }));
    expect(error.kind).toBe('target-unreachable');
    for (const { message } of [...errors, error])
      expect(message).toMatch(
        /^connect to db\.clinic\.invalid:\d+ failed: the name (is unknown|servers do not answer) \(/,
      );
  });

  it('a port where nobody listens', async () => {
    const port = String(await freePort());
    expect(only(await repeated({ TARGET_DB_PORT: port })).kind).toBe('target-unreachable');
    expect((await repeated({ SOURCE_DB_PORT: port })).map(({ kind }) => kind)).toEqual([
      'source-unreachable',
      'source-unreachable',
    ]);
  });

  it.each(['disable', 'verify-full'])('a target port that belongs to the source (TLS: %s)', async (tls) => {
    const { source } = sharedServers();
    const error = only(await repeated({ TARGET_DB_PORT: String(source.port), TARGET_DB_TLS: tls }));
    expect(error.kind).toBe('target-unreachable');
    expect(error.message).toContain('the server there is not PostgreSQL');
    expect(error.remedy).toContain('TARGET_DB_PORT');
  });

  it('servers without a valid certificate, when it is required', async () => {
    const errors = await refused({ SOURCE_DB_TLS: 'verify-ca' });
    expect(errors.map(({ kind }) => kind)).toEqual(['source-tls', 'source-tls']);
    const error = only(await refused({ TARGET_DB_TLS: 'verify-full' }));
    expect(error).toMatchObject({ subject: 'target', kind: 'target-tls' });
    expect(error.remedy).toContain('TARGET_DB_TLS');
  });

  it('a source or target database that does not exist', async () => {
    const error = only(await refused({ SOURCE_DB_NAME: 'no_such_database' }));
    expect(error).toMatchObject({ subject: 'source (reader)', kind: 'source-privilege' });
    expect(error.message).toContain('if there is such a database');
    expect(error.remedy).toMatch(/^grant select on `no\\_such\\_database`\.\* to `rd_/);
    expect(only(await refused({ TARGET_DB_NAME: 'no_such_database' })).kind).toBe('target-login');
  });

  it("the source's own server id", async () => {
    const { source } = sharedServers();
    const admin = await replica.sourceAdmin();
    const [rows] = await admin.query('select @@server_id as id');
    await admin.end();
    const id = String((rows as { id: number }[])[0]?.id);
    expect(source.port).toBeGreaterThan(0);
    expect(only(await refused({ SOURCE_SERVER_ID: id })).message).toContain('SOURCE_SERVER_ID');
  });

  it('tables of the same names that Tidegate did not make, which are not changed', async () => {
    await replica.targetAdmin.query(
      'create schema theirs; create table theirs.patient (a int); grant all on schema theirs to public',
    );
    try {
      const error = only(await refused({ TARGET_DB_SCHEMA: 'theirs' }));
      expect(error.kind).toBe('target-foreign');
      expect(error.message).toContain('patient');
      expect(error.remedy).toContain('TARGET_DB_SCHEMA');
    } finally {
      await replica.targetAdmin.query('drop schema theirs cascade');
    }
  });
});

describe('rights', () => {
  it.each([
    ['reader', 'select', 'may not SELECT'],
    ['replicator', 'replication slave', 'REPLICATION SLAVE'],
    ['replicator', 'replication client', 'BINLOG MONITOR'],
  ])('the %s without %s is refused with the line that grants it', async (role, privilege, message) => {
    const { source, target } = sharedServers();
    const other = await createReplica(source, target);
    const admin = await other.sourceAdmin();
    try {
      await admin.query('create table patient (PatNum bigint not null primary key) engine=InnoDB');
      const account =
        role === 'reader' ? other.env['SOURCE_DB_READONLY_USER'] : other.env['SOURCE_DB_REPLICATION_USER'];
      const scope = role === 'reader' ? `\`${other.database.replaceAll('_', String.raw`\_`)}\`.*` : '*.*';
      // An account without any right on the database cannot even enter it.
      if (role === 'reader') await admin.query(`grant show view on ${scope} to ${account}@'%'`);
      await admin.query(`revoke ${privilege} on ${scope} from ${account}@'%'`);
      const errors = await refused({}, other);
      const found = errors.find((error) => error.message.includes(message));
      expect(found?.remedy).toMatch(/^grant (select|replication slave|replication client) on .* to /);
    } finally {
      await admin.end();
      await other.drop();
    }
  });
});

describe('a target', () => {
  it.each([
    [
      'where the role may create no schema',
      'revoke create on database DB from public, ROLE',
      /^grant create on database/,
    ],
    ['whose schema belongs to another role', 'create schema raw', /^grant usage, create on schema "raw" to/],
    [
      'that is read-only',
      'alter role ROLE set default_transaction_read_only = on',
      /set default_transaction_read_only = off;$/,
    ],
  ])('%s is refused with a remedy', async (_, statement, remedy) => {
    const { source, target } = sharedServers();
    const other = await createReplica(source, target);
    const admin = await other.sourceAdmin();
    try {
      await admin.query('create table patient (PatNum bigint not null primary key) engine=InnoDB');
      // The owner of a database may do anything in it.
      await other.targetAdmin.query(`alter database ${other.targetDatabase} owner to ${other.targetAdminOptions.user}`);
      await other.targetAdmin.query(
        `grant create on database ${other.targetDatabase} to ${other.env['TARGET_DB_USER']}`,
      );
      await other.targetAdmin.query(
        statement.replaceAll('DB', other.targetDatabase).replaceAll('ROLE', other.env['TARGET_DB_USER'] ?? ''),
      );
      const error = only(await refused({}, other));
      expect(error.subject).toBe('target');
      expect(error.remedy).toMatch(remedy);
    } finally {
      await admin.end();
      await other.drop();
    }
  });
});

describe('roles', () => {
  it.each(['mariadb', 'mysql'] as const)('on %s are resolved, active or not', async (flavor) => {
    const source = flavor === 'mariadb' ? sharedServers().source : await startSource({ flavor });
    const other = await createReplica(source, sharedServers().target);
    const admin = await other.sourceAdmin();
    const role = `writers_${other.database}`.slice(0, 32);
    try {
      await admin.query('create table patient (PatNum bigint not null primary key) engine=InnoDB');
      await admin.query(`create role ${role}`);
      await admin.query(`grant insert, delete on ${other.database}.* to ${role}`);
      await admin.query(`grant ${role} to ${other.env['SOURCE_DB_READONLY_USER']}@'%'`);
      const error = only(await refused({}, other));
      expect(error.message).toContain('INSERT, DELETE');
      expect(error.remedy).toContain('give Tidegate an account of its own');
      await admin.query(`revoke ${role} from ${other.env['SOURCE_DB_READONLY_USER']}@'%'`);
      expect((await runCli(['check'], other.env)).code).toBe(0);
    } finally {
      await admin.query(`drop role ${role}`).catch(() => undefined);
      await admin.end();
      await other.drop();
      if (flavor === 'mysql') await source.stop();
    }
  });
});

describe('server settings', () => {
  const servers: SourceServer[] = [];

  afterAll(async () => {
    await Promise.all(servers.map(async (server) => await server.stop()));
  });

  it.each([
    ['--skip-log-bin', 'log_bin', 'log_bin = binlog'],
    ['--binlog-format=MIXED', 'binlog_format', 'binlog_format = ROW'],
    ['--binlog-row-image=MINIMAL', 'binlog_row_image', 'binlog_row_image = FULL'],
    ['--binlog-do-db=elsewhere', 'binlog-do-db', 'binlog-do-db = clinic_'],
  ])('%s is refused with the line for my.ini', async (option, name, line) => {
    const server = await startSource({ args: [option] });
    servers.push(server);
    const other = await createReplica(server, sharedServers().target);
    const admin = await other.sourceAdmin();
    try {
      await admin.query('create table patient (PatNum bigint not null primary key) engine=InnoDB');
      const error = (await refused({}, other)).find(({ message }) => message.includes(name));
      expect(error?.remedy).toContain(line);
      expect(error?.remedy).toContain('my.ini');
    } finally {
      await admin.end();
      await other.drop();
    }
  });
});

describe('a target from an earlier run', () => {
  it('whose control schema is newer than the program is refused and not changed', async () => {
    const { source, target } = sharedServers();
    const other = await createReplica(source, target);
    const admin = await other.sourceAdmin();
    try {
      await admin.query('create table patient (PatNum bigint not null primary key) engine=InnoDB');
      expect((await runCli(['run', '--until-caught-up'], other.env)).code).toBe(0);
      for (const schema of ['tidegate', 'tidegate_raw']) {
        const future = `${schema}.migrations where name = '9999-from-the-future'`;
        await other.targetAdmin.query(
          `insert into ${schema}.migrations (name, timestamp) values ('9999-from-the-future', 'now')`,
        );
        expect(only(await refused({}, other)).kind).toBe('control-schema-newer');
        await other.targetAdmin.query(`delete from ${future}`);
      }
    } finally {
      await admin.end();
      await other.drop();
    }
  });

  it('is reset by `reset`: its tables are dropped, the source stays, and the next run copies again', async () => {
    const { source, target } = sharedServers();
    const other = await createReplica(source, target);
    const admin = await other.sourceAdmin();
    try {
      await admin.query('create table patient (PatNum bigint not null primary key) engine=InnoDB');
      await admin.query('insert into patient values (1), (2)');
      expect((await runCli(['run', '--until-caught-up'], other.env)).code).toBe(0);
      const production = { ...other.env, ENVIRONMENT: 'production' };
      const unconfirmed = await runCli(['reset'], production);
      expect(unconfirmed.code).toBe(1);
      expect((await other.targetAdmin.query('select 1 from raw.patient')).rowCount).toBe(2);
      await other.targetAdmin.query(`
        create schema reports;
        create view reports.visits as select * from raw.patient;
        create materialized view reports.visits_at_night as select * from raw.patient`);
      const depended = await runCli(['reset', '--yes'], production);
      expect(depended.code).toBe(1);
      expect(depended.stderr).toContain('table patient: view reports.visits\n');
      expect(depended.stderr).toContain('table patient: materialized view reports.visits_at_night; ');
      expect(depended.stderr).toContain('tidegate resync');
      expect((await other.targetAdmin.query('select 1 from reports.visits')).rowCount).toBe(2);
      await other.targetAdmin.query('drop schema reports cascade');
      expect((await runCli(['reset', '--yes'], production)).code).toBe(0);
      expect((await other.targetAdmin.query(`select to_regclass('raw.patient') as t`)).rows).toEqual([{ t: null }]);
      expect((await runCli(['run', '--until-caught-up'], other.env)).code).toBe(0);
      expect((await other.targetAdmin.query('select 1 from raw.patient')).rowCount).toBe(2);
    } finally {
      await admin.end();
      await other.drop();
    }
  });
});
