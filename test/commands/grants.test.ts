import mysql, { type Connection } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../testing/servers/private-process.ts';
import { startSource } from '../../testing/servers/source.ts';
import type { SourceServer } from '../../testing/servers/server.ts';
import { runCli } from '../support/cli.ts';
import { type Replica, createReplica } from '../../testing/replica.ts';
import { sharedServers } from '../support/shared-servers.ts';

const passwords = ["reader-'\\-secret", 'replicator-"-secret', 'target-$-secret'] as const;

/** Replaces each placeholder by the next password, as a person would. */
function filled(sql: string, ...secrets: readonly string[]): string {
  let next = 0;
  const filledIn = sql.replaceAll(
    /<[A-Z_]+_PASSWORD>/g,
    () => `'${(secrets[next++] ?? '').replaceAll('\\', '\\\\').replaceAll("'", "''")}'`,
  );
  expect(next).toBe(secrets.length);
  return filledIn;
}

/** Creates accounts whose names need quotes, for a database whose name contains a wildcard. */
async function makesReadyAccounts(source: SourceServer): Promise<void> {
  const replica = await createReplica(source, sharedServers().target);
  const admin = await mysql.createConnection({ ...replica.sourceAdminOptions, multipleStatements: true });
  const tag = replica.database.slice(-6);
  const env = {
    ...replica.env,
    SOURCE_DB_READONLY_USER: `rd \`${tag}`,
    SOURCE_DB_READONLY_PASSWORD: passwords[0],
    SOURCE_DB_REPLICATION_USER: `rp-${tag}`,
    SOURCE_DB_REPLICATION_PASSWORD: passwords[1],
    TARGET_DB_USER: `gate "${tag}`,
    TARGET_DB_PASSWORD: passwords[2],
  };
  try {
    await admin.query('create table patient (PatNum bigint not null primary key) engine=InnoDB');
    expect((await runCli(['check'], env)).code).toBe(1);
    const printed = await runCli(['grants', '--for', 'source'], env);
    expect(printed.stderr).toBe('');
    const target = await runCli(['grants', '--for', 'target'], env);
    await makesNothingUnedited(admin, replica, printed.stdout, target.stdout);
    await admin.query(filled(printed.stdout, passwords[0], passwords[1]));
    await replica.targetAdmin.query(filled(target.stdout, passwords[2]));

    const both = await runCli(['grants'], env);
    for (const secret of passwords) expect(both.stdout).not.toContain(secret);
    expect(both.stdout).toBe(`${printed.stdout}\n${target.stdout}`);

    const { code, stdout } = await runCli(['check'], env);
    // Test servers do not wait for the disk (sync_binlog).
    expect(stdout.match(/^(warning|ERROR) .*/gm)?.filter((line) => !line.includes('sync_binlog')) ?? []).toEqual([]);
    expect(stdout).toMatch(/\nready(, with 1 warning)?\n$/);
    expect(code).toBe(0);
  } finally {
    await dropAccounts(admin, replica, env);
  }
}

/** Runs each statement as it is printed, in the most lenient mode of the server: none may create an account. */
async function makesNothingUnedited(
  admin: Connection,
  replica: Replica,
  source: string,
  target: string,
): Promise<void> {
  const statements = (text: string) => text.split('\n').filter((line) => /^(set|create|grant) /.test(line));
  const accounts = async () => {
    const [users] = await admin.query('select User as user, Host as host from mysql.user order by 1, 2');
    const { rows: roles } = await replica.targetAdmin.query('select rolname from pg_roles order by 1');
    return { users, roles };
  };
  const before = await accounts();
  await admin.query("set session sql_mode = ''");
  const failures = new Set<number | undefined>();
  for (const sql of statements(source))
    await admin.query(sql).catch((error: unknown) => failures.add((error as { errno?: number }).errno));
  for (const sql of statements(target)) await expect(replica.targetAdmin.query(sql)).rejects.toThrow();
  // 1064: syntax. The grants fail because the account is missing, by a number that depends on the server.
  expect(failures).toContain(1064);
  expect(await accounts()).toEqual(before);
}

async function dropAccounts(admin: Connection, replica: Replica, env: Readonly<Record<string, string>>): Promise<void> {
  for (const name of [env['SOURCE_DB_READONLY_USER'], env['SOURCE_DB_REPLICATION_USER']])
    for (const host of ['127.0.0.1', '%'])
      await admin.query(`drop user \`${name?.replaceAll('`', '``')}\`@\`${host}\``).catch(() => undefined);
  const role = `"${env['TARGET_DB_USER']?.replaceAll('"', '""')}"`;
  await replica.targetAdmin.query(`drop owned by ${role}; drop role ${role}`).catch(() => undefined);
  admin.destroy();
  await replica.drop();
}

/** Creates an account that requires TLS at a server without TLS: the SQL is correct, and the login fails. */
async function requiresEncryption(source: SourceServer): Promise<void> {
  const replica = await createReplica(source, sharedServers().target);
  const admin = await mysql.createConnection({ ...replica.sourceAdminOptions, multipleStatements: true });
  const tag = replica.database.slice(-6);
  const plain = {
    ...replica.env,
    SOURCE_DB_READONLY_USER: `rds_${tag}`,
    SOURCE_DB_REPLICATION_USER: `rps_${tag}`,
  };
  try {
    const args = ['grants', '--for', 'source', '--from-host', '%'];
    const { stdout } = await runCli(args, { ...plain, SOURCE_DB_TLS: 'verify-ca' });
    expect(stdout.match(/ require ssl;/g)).toHaveLength(2);
    await admin.query(filled(stdout, replica.readerPassword, replica.replicatorPassword));
    const { stdout: checked } = await runCli(['check', '--json'], plain);
    const { findings } = JSON.parse(checked) as { findings: { subject: string; kind?: string }[] };
    for (const role of ['reader', 'replicator'])
      expect(findings.find(({ subject }) => subject === `source (${role})`)?.kind).toMatch(/^source-(login|tls)$/);
  } finally {
    await dropAccounts(admin, replica, plain);
  }
}

describe('the output of grants, run unchanged, creates accounts that check finds ready', () => {
  let newest: SourceServer;

  beforeAll(async () => {
    newest = await startSource({ flavor: 'mysql', version: '9.7' });
  });

  afterAll(async () => {
    await newest?.stop();
  });

  test('MariaDB', async () => {
    await makesReadyAccounts(sharedServers().source);
    await requiresEncryption(sharedServers().source);
  });

  test('MySQL 9.7', async () => {
    await makesReadyAccounts(newest);
    await requiresEncryption(newest);
  });
});

describe('without a connection to the source', () => {
  const env = {
    SOURCE_DB_HOST: 'clinic.example',
    SOURCE_DB_NAME: 'opendental',
    SOURCE_DB_READONLY_USER: 'reader',
    SOURCE_DB_READONLY_PASSWORD: 'canary-1',
    SOURCE_DB_REPLICATION_USER: 'replicator',
    SOURCE_DB_REPLICATION_PASSWORD: 'canary-2',
    TARGET_DB_HOST: '127.0.0.1',
    TARGET_DB_NAME: 'analytics',
    TARGET_DB_USER: 'tidegate',
    TARGET_DB_PASSWORD: 'canary-3',
  };

  test.each([
    [
      'mariadb',
      '10.5',
      /create user `reader`@`10\.0\.0\.%` identified by <SOURCE_DB_READONLY_PASSWORD> require ssl;\n.*\n.*\n.*binlog monitor/,
    ],
    ['mariadb', '10.4', /replication client/],
    [
      'mysql',
      '8.4.3',
      /create user `replicator`@`10\.0\.0\.%` identified by <SOURCE_DB_REPLICATION_PASSWORD> require ssl;\n.*replication client/,
    ],
    [
      'mysql',
      '5.6',
      /identified by <SOURCE_DB_READONLY_PASSWORD>;\ngrant select on `opendental`\.\* to `reader`@`10\.0\.0\.%` require ssl;/,
    ],
  ])('%s %s', async (flavor, version, expected) => {
    const args = ['grants', '--flavor', flavor, '--server-version', version, '--from-host', '10.0.0.%'];
    const { code, stdout } = await runCli(args, env);
    expect(stdout).toMatch(expected);
    expect(stdout).toContain('grant connect, create on database "analytics" to "tidegate";');
    expect(stdout).not.toContain('canary');
    expect(code).toBe(0);
  });

  test('an incomplete version, or a source that does not answer, is an error with a remedy', async () => {
    for (const args of [
      ['--flavor', 'mysql'],
      ['--server-version', '8.4'],
      ['--flavor', 'mysql', '--server-version', 'new'],
    ]) {
      const { code, stdout, stderr } = await runCli(['grants', ...args], env);
      expect([code, stdout]).toEqual([1, '']);
      expect(stderr).toContain('--flavor mariadb --server-version 10.11');
    }
    const nobody = { ...env, SOURCE_DB_HOST: 'localhost', SOURCE_DB_PORT: String(await freePort()) };
    const { code, stderr } = await runCli(['grants'], nobody);
    expect(code).toBe(1);
    expect(stderr).toContain('check SOURCE_DB_PORT');
  });
});

// The matrix covers every supported server: `npm run test:matrix`.
if (process.env['TIDEGATE_MATRIX'] === '1')
  describe('the matrix of servers', () => {
    test.for([
      { flavor: 'mariadb', version: '10.5' },
      { flavor: 'mariadb', version: '11.8' },
      { flavor: 'mysql', version: '5.6' },
    ] as const)('$flavor $version', async (server) => {
      const source = await startSource(server);
      try {
        await makesReadyAccounts(source);
        await requiresEncryption(source);
      } finally {
        await source.stop();
      }
    });
  });
