import { once } from 'node:events';
import { connect } from 'node:net';
import type { Connection } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Finding } from '../../../src/errors/finding.ts';
import type { Replica } from '../../../testing/replica.ts';
import type { SourceServer } from '../../../testing/servers/server.ts';
import { Proxy } from '../../support/proxy.ts';
import { type OwnSource, findings, others, startOwnSource, statementsIn } from './remedy.ts';

describe.each(['mariadb', 'mysql'] as const)('source-login (%s)', (flavor) => {
  let own: OwnSource | undefined;
  let source: SourceServer;
  let replica: Replica;
  let admin: Connection;

  beforeAll(async () => {
    // Only a server that looks up names blocks hosts.
    own = await startOwnSource({ flavor, args: ['--skip-name-resolve=OFF'] });
    ({ source, replica, admin } = own);
  });

  afterAll(async () => await own?.[Symbol.asyncDispose]());

  const roles = {
    reader: { user: 'SOURCE_DB_READONLY_USER', password: 'SOURCE_DB_READONLY_PASSWORD' },
    replicator: { user: 'SOURCE_DB_REPLICATION_USER', password: 'SOURCE_DB_REPLICATION_PASSWORD' },
  } as const;
  type Role = keyof typeof roles;
  const account = (role: Role) => `${replica.env[roles[role].user]}@'%'`;

  /** Finds that these accounts cannot log in, and nothing else. */
  async function shutOut(who: readonly Role[], env: Readonly<Record<string, string>>): Promise<Finding[]> {
    const found = others(await findings(env));
    expect(found.map(({ subject, kind }) => [subject, kind])).toEqual(
      who.map((role) => [`source (${role})`, 'source-login']),
    );
    return found;
  }

  /** Runs the statement for this server, with the placeholders filled in as they are explained. */
  async function runAtSource(role: Role, { remedy = '' }: Finding): Promise<void> {
    const perServer = remedy.split(/\b(?=MariaDB: |MySQL: )/);
    const own = perServer.length === 1 ? remedy : perServer.find((part) => part.toLowerCase().startsWith(flavor));
    const filled = (own ?? '')
      .replaceAll(/@<host>(?= \w)/g, "@'%'")
      .replaceAll(`by <${roles[role].password}>`, `by '${replica.env[roles[role].password]}'`);
    const [statement, ...more] = statementsIn(filled);
    expect(more).toEqual([]);
    await admin.query(statement ?? remedy);
  }

  test('wrong passwords: the hint names the setting to correct', async () => {
    const wrong = Object.fromEntries(Object.values(roles).map(({ password }) => [password, 'wrong']));
    const found = await shutOut(['reader', 'replicator'], { ...replica.env, ...wrong });
    for (const [index, { password }] of Object.values(roles).entries())
      expect(found[index]?.remedy).toContain(password);
    expect(others(await findings(replica.env))).toEqual([]);
  });

  test.each([
    ['an expired password, a locked account', { reader: 'password expire', replicator: 'account lock' }],
    flavor === 'mariadb'
      ? [
          'a password of the old form, a login without a password',
          {
            reader: `identified via mysql_old_password using '5d2e19393cc5ef67'`,
            replicator: 'identified via unix_socket',
          },
        ]
      : ['a login without a password', { reader: 'identified with auth_socket' }],
  ] as [string, Partial<Record<Role, string>>][])('%s: mended by what is printed', async (_, changes) => {
    const changed = Object.entries(changes) as [Role, string][];
    if (flavor === 'mariadb') await admin.query('set session old_passwords = 1');
    else await admin.query("install plugin auth_socket soname 'auth_socket.so'").catch(() => undefined);
    for (const [role, change] of changed) await admin.query(`alter user ${account(role)} ${change}`);
    if (flavor === 'mariadb') await admin.query('set session old_passwords = 0');
    const found = await shutOut(
      changed.map(([role]) => role),
      replica.env,
    );
    for (const [index, [role]] of changed.entries()) await runAtSource(role, found[index] as Finding);
    expect(others(await findings(replica.env))).toEqual([]);
  });

  test('an account that is blocked after wrong passwords is told apart, and let in again by what is printed', async () => {
    await admin.query(
      flavor === 'mariadb'
        ? 'set global max_password_errors = 1'
        : `alter user ${account('reader')} failed_login_attempts 1 password_lock_time 1`,
    );
    const wrong = { ...replica.env, SOURCE_DB_READONLY_PASSWORD: 'wrong' };
    await shutOut(['reader'], wrong);
    const [found] = await shutOut(['reader'], replica.env);
    expect(found?.remedy).toMatch(/locked|max_password_errors/);
    await runAtSource('reader', found as Finding);
    expect(others(await findings(replica.env))).toEqual([]);
  });

  // MySQL counts other failures, which a client does not cause by hanging up.
  if (flavor === 'mariadb')
    test('a blocked host is let in by the statement that is printed', async () => {
      await using proxy = await Proxy.start({ ...source, from: '127.0.0.2' });
      await admin.query('set global max_connect_errors = 1');
      const aborted = connect({ host: proxy.host, port: proxy.port });
      await once(aborted, 'data');
      aborted.destroy();
      await expect.poll(() => proxy.open).toBe(0);
      const env = { ...replica.env, SOURCE_DB_HOST: proxy.host, SOURCE_DB_PORT: String(proxy.port) };
      const [found] = await shutOut(['reader', 'replicator'], env);
      const statements = statementsIn(found?.remedy ?? '');
      expect(statements).toEqual(['truncate table performance_schema.host_cache;', 'flush hosts;']);
      await admin.query(statements[1] ?? '');
      expect(others(await findings(env))).toEqual([]);
    });
});
