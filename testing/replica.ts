import { randomBytes } from 'node:crypto';
import mysql, { type Connection, type ConnectionOptions } from 'mysql2/promise';
import pg from 'pg';
import type { SourceServer, TargetServer } from './servers/server.ts';

/** A source database and a target database of their own, with exactly the accounts that Tidegate needs. */
export interface Replica {
  /** The environment for the program. */
  readonly env: Readonly<Record<string, string>>;
  /** The source database. */
  readonly database: string;
  /** The target schema. */
  readonly schema: string;
  readonly targetDatabase: string;
  /** Drops everything that Tidegate made at the target, so that the next run starts from the beginning. */
  resetTarget(): Promise<void>;
  readonly readerPassword: string;
  readonly replicatorPassword: string;
  readonly targetPassword: string;
  /** Connection options of an administrator of the source database. */
  readonly sourceAdminOptions: ConnectionOptions;
  /** A new administrator's session in the source database. */
  sourceAdmin(): Promise<Connection>;
  /** Connection options of a superuser of the target database. */
  readonly targetAdminOptions: pg.ClientConfig;
  /** A superuser's session in the target database. */
  readonly targetAdmin: pg.Client;
  /** Ends the sessions and drops both databases and the accounts. */
  drop(): Promise<void>;
}

let count = 0;

/** Creates a replica. Names are unique, so many replicas can share the same servers. */
export async function createReplica(source: SourceServer, target: TargetServer): Promise<Replica> {
  const tag = `${process.pid.toString(36)}${(count++).toString(36)}${randomBytes(2).toString('hex')}`;
  const database = `clinic_${tag}`;
  const reader = `rd_${tag}`;
  const replicator = `rp_${tag}`;
  const role = `tidegate_${tag}`;
  const [readerPassword, replicatorPassword, targetPassword] = ['reader', 'replicator', 'target'].map(
    (name) => `${name}-${randomBytes(8).toString('hex')}`,
  ) as [string, string, string];

  const sourceServer = { host: source.host, port: source.port, user: source.user, password: source.password };
  const admin = await mysql.createConnection(sourceServer);
  await admin.query(`create database ${database}`);
  await admin.query(`create user ${reader}@'%' identified by '${readerPassword}'`);
  // An unescaped underscore in a grant is a wildcard.
  await admin.query(`grant select on \`${database.replaceAll('_', '\\_')}\`.* to ${reader}@'%'`);
  await admin.query(`create user ${replicator}@'%' identified by '${replicatorPassword}'`);
  // MariaDB since 10.5.2 calls `replication client` BINLOG MONITOR and still accepts the old name.
  await admin.query(`grant replication slave, replication client on *.* to ${replicator}@'%'`);
  await admin.end();

  const superuser = { host: target.host, port: target.port, user: target.user, password: target.password };
  const server = new pg.Client({ ...superuser, database: 'postgres' });
  await server.connect();
  await server.query(`create role ${role} login password '${targetPassword}'`);
  await server.query(`create database ${database} owner ${role}`);
  await server.end();
  const targetAdminOptions = { ...superuser, database };
  const targetAdmin = new pg.Client(targetAdminOptions);
  // Tests end sessions from the server's side; that must not end the test run.
  targetAdmin.on('error', () => undefined);
  await targetAdmin.connect();

  return {
    env: {
      ENVIRONMENT: 'development',
      SOURCE_DB_HOST: source.host,
      SOURCE_DB_PORT: String(source.port),
      SOURCE_DB_NAME: database,
      SOURCE_DB_READONLY_USER: reader,
      SOURCE_DB_READONLY_PASSWORD: readerPassword,
      SOURCE_DB_REPLICATION_USER: replicator,
      SOURCE_DB_REPLICATION_PASSWORD: replicatorPassword,
      SOURCE_SERVER_ID: String(1_000_000 + Math.floor(Math.random() * 4_000_000_000)),
      SOURCE_DB_TLS: 'disable',
      TARGET_DB_HOST: target.host,
      TARGET_DB_PORT: String(target.port),
      TARGET_DB_NAME: database,
      TARGET_DB_USER: role,
      TARGET_DB_PASSWORD: targetPassword,
      TARGET_DB_TLS: 'disable',
      TARGET_DB_SCHEMA: 'raw',
      // Many replicas run at the same time, so this one serves no page; a test of the page sets its own port.
      LISTEN: 'off',
    },
    database,
    schema: 'raw',
    targetDatabase: database,
    resetTarget: async () => {
      await targetAdmin.query('drop schema if exists raw cascade');
      await targetAdmin.query('drop schema if exists tidegate_raw cascade');
    },
    readerPassword,
    replicatorPassword,
    targetPassword,
    sourceAdminOptions: { ...sourceServer, database },
    sourceAdmin: async () => {
      const session = await mysql.createConnection({ ...sourceServer, database, charset: 'utf8mb4_general_ci' });
      // Tests read the general log for the statements of Tidegate, and it must not grow by millions of rows.
      await session.query('set session sql_log_off = 1');
      return session;
    },
    targetAdminOptions,
    targetAdmin,
    drop: async () => {
      // A test may have stopped the servers already.
      await targetAdmin.end().catch(() => undefined);
      await dropTarget(superuser, database, role).catch(() => undefined);
      await dropSource(sourceServer, database, [reader, replicator]).catch(() => undefined);
    },
  };
}

async function dropSource(server: ConnectionOptions, database: string, users: readonly string[]): Promise<void> {
  const admin = await mysql.createConnection(server);
  await admin.query(`drop database if exists ${database}`);
  for (const user of users) await admin.query(`drop user if exists ${user}@'%'`);
  await admin.end();
}

async function dropTarget(superuser: pg.ClientConfig, database: string, role: string): Promise<void> {
  const server = new pg.Client({ ...superuser, database: 'postgres' });
  await server.connect();
  await server.query(`drop database if exists ${database} with (force)`);
  await server.query(`drop role if exists ${role}`);
  await server.end();
}
