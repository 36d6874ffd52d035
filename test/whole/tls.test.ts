import { createPrivateKey } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RunProcess } from '../../testing/run-process.ts';
import { Authority, type ServerCertificate } from '../../testing/servers/certificates.ts';
import { startSource } from '../../testing/servers/source.ts';
import type { SourceServer, TargetServer } from '../../testing/servers/server.ts';
import { startTarget } from '../../testing/servers/target.ts';

import { runCli } from '../support/cli.ts';
import { type Replica, createReplica } from '../../testing/replica.ts';
import { sharedServers } from '../support/shared-servers.ts';

const self = process.getuid?.() ?? 0;
/** PostgreSQL does not run as root; as root, the tests run it as nobody. */
const postgresUser = self === 0 ? 65_534 : self;

let authority: Authority;
let stranger: Authority;
let source: SourceServer;
let target: TargetServer;
const replicas: Replica[] = [];
const servers: { stop(): Promise<void> }[] = [];

function sourceTls({ certificate, key }: ServerCertificate): string[] {
  return [`--ssl-ca=${authority.file}`, `--ssl-cert=${certificate}`, `--ssl-key=${key}`];
}

function targetTls({ certificate, key }: ServerCertificate): string[] {
  return ['-c', 'ssl=on', '-c', `ssl_cert_file=${certificate}`, '-c', `ssl_key_file=${key}`];
}

beforeAll(async () => {
  [authority, stranger] = await Promise.all([Authority.create(), Authority.create()]);
  source = await startSource({ args: sourceTls(await authority.issue('localhost', self)) });
  target = await startTarget({ args: targetTls(await authority.issue('localhost', postgresUser)) });
  servers.push(source, target);
});

afterAll(async () => {
  for (const replica of replicas) await replica.drop();
  for (const server of servers) await server.stop();
  await Promise.all([authority?.dispose(), stranger?.dispose()]);
});

async function replicaOn(from: SourceServer, to: TargetServer): Promise<Replica> {
  const replica = await createReplica(from, to);
  replicas.push(replica);
  const admin = await replica.sourceAdmin();
  await admin.query('create table visits (id int not null primary key, note varchar(40))');
  await admin.query(`insert into visits values (1, 'one')`);
  await admin.end();
  return replica;
}

function verified(replica: Replica): Record<string, string> {
  return {
    ...replica.env,
    SOURCE_DB_HOST: 'localhost',
    SOURCE_DB_TLS: 'verify-full',
    SOURCE_DB_TLS_CA: authority.file,
    TARGET_DB_HOST: 'localhost',
    TARGET_DB_TLS: 'verify-full',
    TARGET_DB_TLS_CA: authority.file,
  };
}

/** The errors of `check`, as subject and kind. */
async function errorsOf(env: Readonly<Record<string, string>>): Promise<string[]> {
  const { stdout } = await runCli(['check', '--json'], env);
  const { findings } = JSON.parse(stdout) as { findings: { level: string; subject: string; kind?: string }[] };
  return findings.filter(({ level }) => level === 'error').map(({ subject, kind }) => `${subject}: ${kind}`);
}

/** The remedies of `check`'s errors of TLS: the reader's, the replicator's and the target's. */
async function tlsRemedies(env: Readonly<Record<string, string>>): Promise<(string | undefined)[]> {
  const { stdout } = await runCli(['check', '--json'], env);
  const { findings } = JSON.parse(stdout) as { findings: { kind?: string; remedy?: string }[] };
  return findings.filter(({ kind }) => kind?.endsWith('-tls')).map(({ remedy }) => remedy);
}

/** Streams a change with every connection encrypted; the source refuses unencrypted ones. */
async function streamsEncrypted(from: SourceServer): Promise<void> {
  const replica = await replicaOn(from, target);
  const env = verified(replica);
  const admin = await replica.sourceAdmin();
  for (const user of [env['SOURCE_DB_READONLY_USER'], env['SOURCE_DB_REPLICATION_USER']])
    await admin.query(`alter user ${user}@'%' require ssl`);
  expect(await errorsOf(env)).toEqual([]);
  const run = new RunProcess(env);
  try {
    await run.logged('streaming');
    const { rows } = await replica.targetAdmin.query<{ encrypted: boolean; sessions: string }>(
      `select bool_and(s.ssl) as encrypted, count(*) as sessions from pg_stat_ssl s join pg_stat_activity a using (pid)
        where a.application_name like 'tidegate%' and a.datname = current_database()`,
    );
    expect(rows[0]?.encrypted).toBe(true);
    expect(Number(rows[0]?.sessions)).toBeGreaterThan(1);
    await admin.query(`insert into visits values (2, 'two')`);
    const seen = async () => (await replica.targetAdmin.query('select from raw.visits')).rowCount;
    for (let tries = 0; tries < 100 && (await seen()) !== 2; tries++) await new Promise((done) => setTimeout(done, 50));
    expect(await seen()).toBe(2);
    await run.stop();
  } finally {
    await run.kill();
    await admin.end();
  }
}

describe('with certificates', () => {
  test('snapshot and stream run encrypted and verified on both sides', async () => {
    await streamsEncrypted(source);
  });

  test('the same holds with caching_sha2_password, which also works without TLS', async () => {
    const mysql = await startSource({ flavor: 'mysql', args: sourceTls(await authority.issue('localhost', self)) });
    servers.push(mysql);
    await streamsEncrypted(mysql);
    const replica = await replicaOn(mysql, target);
    const admin = await replica.sourceAdmin();
    const [plugins] = await admin.query(`select distinct plugin from mysql.user where user in (?, ?)`, [
      replica.env['SOURCE_DB_READONLY_USER'],
      replica.env['SOURCE_DB_REPLICATION_USER'],
    ]);
    await admin.end();
    expect(plugins).toEqual([{ plugin: 'caching_sha2_password' }]);
    const plain = new RunProcess(replica.env, ['--until-caught-up']);
    await plain.succeeded();
  });

  test('a certificate of another authority is refused by every connection', async () => {
    const replica = await replicaOn(source, target);
    expect(await errorsOf({ ...verified(replica), SOURCE_DB_TLS_CA: stranger.file })).toEqual([
      'source (reader): source-tls',
      'source (replicator): source-tls',
    ]);
    expect(await errorsOf({ ...verified(replica), TARGET_DB_TLS_CA: stranger.file })).toEqual(['target: target-tls']);
    const strangers = { SOURCE_DB_TLS_CA: stranger.file, TARGET_DB_TLS_CA: stranger.file };
    expect(await tlsRemedies({ ...verified(replica), ...strangers })).toEqual(
      Array(3).fill(expect.stringContaining('No authority that is trusted here signed')),
    );
  });

  test('a certificate for another name is refused by verify-full and accepted by verify-ca', async () => {
    const other = await startSource({ args: sourceTls(await authority.issue('other.example', self)) });
    servers.push(other);
    const otherTarget = await startTarget({ args: targetTls(await authority.issue('other.example', postgresUser)) });
    servers.push(otherTarget);
    const replica = await replicaOn(other, otherTarget);
    expect(await errorsOf(verified(replica))).toEqual([
      'source (reader): source-tls',
      'source (replicator): source-tls',
      'target: target-tls',
    ]);
    expect(await tlsRemedies(verified(replica))).toEqual(
      Array(3).fill(expect.stringContaining('is for another name than')),
    );
    const byAuthority = { ...verified(replica), SOURCE_DB_TLS: 'verify-ca', TARGET_DB_TLS: 'verify-ca' };
    expect(await errorsOf(byAuthority)).toEqual([]);
    await new RunProcess(byAuthority, ['--until-caught-up']).succeeded();
  });
});

test('a certificate that has expired is told apart', async () => {
  const old = await startSource({ args: sourceTls(await authority.issue('localhost', self, 0)) });
  servers.push(old);
  const oldTarget = await startTarget({ args: targetTls(await authority.issue('localhost', postgresUser, 0)) });
  servers.push(oldTarget);
  const replica = await replicaOn(old, oldTarget);
  expect(await tlsRemedies(verified(replica))).toEqual(Array(3).fill(expect.stringContaining('has expired')));
});

test('an address is verified like a name: only a certificate for this address is accepted', async () => {
  const byAddress = { SOURCE_DB_HOST: '127.0.0.1', TARGET_DB_HOST: '127.0.0.1' };
  const named = await replicaOn(source, target);
  expect(await errorsOf({ ...verified(named), ...byAddress })).toEqual([
    'source (reader): source-tls',
    'source (replicator): source-tls',
    'target: target-tls',
  ]);
  const there = await startSource({ args: sourceTls(await authority.issue('127.0.0.1', self)) });
  servers.push(there);
  const targetThere = await startTarget({ args: targetTls(await authority.issue('127.0.0.1', postgresUser)) });
  servers.push(targetThere);
  const replica = await replicaOn(there, targetThere);
  const env = { ...verified(replica), ...byAddress };
  expect(await errorsOf(env)).toEqual([]);
  await new RunProcess(env, ['--until-caught-up']).succeeded();
  expect(await errorsOf(verified(replica))).toContain('source (reader): source-tls');
});

test('a server without TLS is refused, and nothing is sent to it unencrypted', async () => {
  const { source: plainSource, target: plainTarget } = sharedServers();
  const replica = await replicaOn(plainSource, plainTarget);
  expect(await errorsOf(verified(replica))).toEqual([
    'source (reader): source-tls',
    'source (replicator): source-tls',
    'target: target-tls',
  ]);
});

test('check shows for each connection whether it is encrypted', async () => {
  const replica = await replicaOn(source, target);
  const plain = await runCli(['check'], replica.env);
  expect(plain.stdout.match(/without TLS/gu)?.length).toBe(3);
  const encrypted = await runCli(['check'], verified(replica));
  expect(encrypted.stdout.match(/TLS verify-full/gu)?.length).toBe(3);
});

/** MySQL 5.6 supports at most TLS 1.0, and accepts a key only in the PKCS #1 format. */
async function refusesOldTls(): Promise<void> {
  const files = await authority.issue('localhost', self);
  const key = createPrivateKey(await readFile(files.key)).export({ type: 'pkcs1', format: 'pem' });
  await writeFile(files.key, key);
  const old = await startSource({ flavor: 'mysql', version: '5.6', args: sourceTls(files) });
  servers.push(old);
  const replica = await replicaOn(old, target);
  expect(await tlsRemedies(verified(replica))).toEqual(Array(2).fill(expect.stringContaining('TLS 1.2')));
}

// The matrix covers every supported server: `npm run test:matrix`.
if (process.env['TIDEGATE_MATRIX'] === '1')
  describe('the matrix of servers', () => {
    test.for(['10.5', '11.8'] as const)('MariaDB %s', async (version) => {
      const server = await startSource({ version, args: sourceTls(await authority.issue('localhost', self)) });
      servers.push(server);
      await streamsEncrypted(server);
    });

    test('MySQL 5.6: check reports that its TLS is too old', async () => {
      await refusesOldTls();
    });
  });
