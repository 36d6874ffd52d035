import type mysql from 'mysql2';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startSource } from '../../../testing/servers/source.ts';
import type { SourceServer } from '../../../testing/servers/server.ts';
import type { SourceConfig } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load-config.ts';
import { SourceConnection } from '../../../src/mysql/connection.ts';
import type { SourceRole } from '../../../src/mysql/wire/guarded-connection.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { sharedServers } from '../../support/shared-servers.ts';
import { Scope } from '../../../src/lifetime/scope.ts';

let source: SourceServer;
let replica: Replica;
let admin: Connection;
let config: SourceConfig;

beforeAll(async () => {
  source = await startSource({ flavor: 'mariadb', version: '10.11', args: ['--general-log=1', '--log-output=TABLE'] });
  replica = await createReplica(source, sharedServers().target);
  admin = await replica.sourceAdmin();
  config = loadConfig({ ...replica.env }).source;
  await admin.query('create table patient (PatNum bigint not null primary key) engine=InnoDB');
  await admin.query('insert into patient values (1)');
});

afterAll(async () => {
  admin?.destroy();
  await replica?.drop();
  await source?.stop();
});

/** Opens a connection, passes it to `work`, and closes it. */
async function connected<T>(
  role: SourceRole,
  work: (connection: SourceConnection) => Promise<T>,
  of = config,
): Promise<T> {
  const connection = await SourceConnection.open(new Scope(), of, role);
  try {
    return await work(connection);
  } finally {
    connection.destroy();
  }
}

/** The same session without the guard, to show what the session itself refuses. */
function unguarded({ raw }: SourceConnection): mysql.Connection {
  Reflect.deleteProperty(raw, 'writePacket');
  return raw;
}

async function ask(raw: mysql.Connection, sql: string): Promise<unknown> {
  return await new Promise((resolve, reject) => {
    raw.query(sql, (error, rows) => (error ? reject(error) : resolve(rows)));
  });
}

describe('a connection to the source', () => {
  test('cannot be opened for an unknown role', async () => {
    // @ts-expect-error: the types allow only two roles
    const opened = SourceConnection.open(new Scope(), { ...config, port: 1 }, 'writer');
    await expect(opened).rejects.toMatchObject({ kind: 'refused' });
    // @ts-expect-error: nor does a word that is unknown at compile time
    const named = SourceConnection.open(new Scope(), { ...config, port: 1 }, 'toString' as string);
    await expect(named).rejects.toMatchObject({ kind: 'refused' });
  });

  test('refuses every unlisted statement: nothing of it is sent, and the connection ends', async () => {
    for (const role of ['reader', 'replicator'] as const)
      for (const sql of ['insert into patient values (666)', 'select 666 for update', 'kill 666', 'select sleep(666)'])
        await connected(role, async (connection) => {
          await expect(connection.query(sql)).rejects.toMatchObject({ kind: 'refused' });
          await expect(connection.query('select version() as version')).rejects.toThrow();
        });
    const [[logged]] = await admin.query<RowDataPacket[]>(
      `select count(*) as n from mysql.general_log where argument like '%666%' and user_host not like '%[${source.user}]%'`,
    );
    expect(logged?.['n']).toBe(0);
  });

  test('refuses every other command of the protocol', async () => {
    const commands: ((raw: mysql.Connection, done: (error: unknown) => void) => void)[] = [
      (raw, done) => raw.execute('select 1', done),
      (raw, done) => raw.prepare('select 1', done),
      (raw, done) => raw.changeUser({ user: 'root' }, done),
      (raw, done) => raw.ping(done),
    ];
    for (const command of commands)
      await connected('reader', async ({ raw }) => {
        const error = await new Promise<unknown>((resolve) => {
          command(raw, resolve);
        });
        expect(error).toMatchObject({ kind: 'refused' });
      });
  });

  test('is refused writes by its account', async () => {
    for (const role of ['reader', 'replicator'] as const)
      await connected(role, async (connection) => {
        const table = `${replica.database}.patient`;
        await expect(ask(unguarded(connection), `insert into ${table} values (2)`)).rejects.toMatchObject({
          errno: 1142,
        });
      });
  });
});

/** Statements on this server without the guard do not come from Tidegate, so the check of the logs must not see them. */
const unlogged = ['--log-output=NONE'];

/** The settings of a session whose guard is removed, by their newer names. */
async function settingsOf(of: SourceConfig, role: SourceRole): Promise<Record<string, string>> {
  return await connected(
    role,
    async (connection) => {
      const rows = (await ask(unguarded(connection), 'show session variables')) as RowDataPacket[];
      return Object.fromEntries(
        rows.map((row) => [String(row['Variable_name']).replace(/^tx_/, 'transaction_'), String(row['Value'])]),
      );
    },
    of,
  );
}

const everywhere = {
  ...{ transaction_isolation: 'REPEATABLE-READ', transaction_read_only: 'ON', character_set_client: 'utf8mb4' },
  ...{ time_zone: '+00:00', sql_mode: '', lock_wait_timeout: '2', innodb_lock_wait_timeout: '2' },
  ...{ autocommit: 'ON', completion_type: 'NO_CHAIN', sql_select_limit: '18446744073709551615' },
};
const limits = {
  mariadb: { max_statement_time: '60.000000', idle_transaction_timeout: '60' },
  mysql: { max_execution_time: '60000' },
};

describe('a session', () => {
  test('is read-only and has short timeouts, for every role and every server default', async () => {
    const other = await startSource({
      args: [
        ...unlogged,
        '--skip-character-set-client-handshake',
        '--character-set-server=latin1',
        '--transaction-isolation=SERIALIZABLE',
        '--autocommit=0',
        '--completion-type=1',
      ],
    });
    const elsewhere = await createReplica(other, sharedServers().target);
    const administrator = await elsewhere.sourceAdmin();
    await administrator.query('set global sql_select_limit = 3');
    await administrator.end();
    try {
      for (const role of ['reader', 'replicator'] as const)
        for (const of of [config, loadConfig({ ...elsewhere.env }).source])
          expect(await settingsOf(of, role)).toMatchObject({
            ...everywhere,
            ...limits.mariadb,
            net_write_timeout: role === 'reader' ? '5' : '600',
          });
    } finally {
      await elsewhere.drop();
      await other.stop();
    }
  });

  test('cannot write even where the account may', async () => {
    const { user } = config.reader;
    const scope = `\`${replica.database.replaceAll('_', String.raw`\_`)}\`.*`;
    await admin.query(`grant insert, create on ${scope} to ${user}@'%'`);
    try {
      for (const sql of ['insert into patient values (2)', 'create table mine (a int)'])
        await connected('reader', async (connection) => {
          // 1792: the transaction is read-only.
          await expect(ask(unguarded(connection), sql)).rejects.toMatchObject({ errno: 1792 });
        });
    } finally {
      await admin.query(`revoke insert, create on ${scope} from ${user}@'%'`);
    }
  });

  test('does not wait long for a lock', async () => {
    await admin.query('lock tables patient write');
    try {
      await connected('reader', async (connection) => {
        const began = Date.now();
        await expect(connection.query('select PatNum from patient')).rejects.toMatchObject({ kind: 'source-busy' });
        expect(Date.now() - began).toBeLessThan(10_000);
      });
    } finally {
      await admin.query('unlock tables');
    }
  });
});

// The matrix covers every supported server: `npm run test:matrix`.
if (process.env['TIDEGATE_MATRIX'] === '1')
  describe('the matrix of servers', () => {
    test.for([
      { flavor: 'mariadb', version: '10.5', expected: limits.mariadb },
      { flavor: 'mariadb', version: '11.8', expected: limits.mariadb },
      // MySQL 5.6 has no such limit.
      { flavor: 'mysql', version: '5.6', expected: {} },
      { flavor: 'mysql', version: '9.7', expected: limits.mysql },
    ] as const)('$flavor $version', async ({ expected, ...server }) => {
      const other = await startSource({ ...server, args: unlogged });
      const elsewhere = await createReplica(other, sharedServers().target);
      try {
        for (const role of ['reader', 'replicator'] as const)
          expect(await settingsOf(loadConfig({ ...elsewhere.env }).source, role)).toMatchObject({
            ...everywhere,
            ...expected,
          });
      } finally {
        await elsewhere.drop();
        await other.stop();
      }
    });
  });
