import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Finding } from '../../../src/errors/finding.ts';
import { runCli } from '../../support/cli.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { sharedServers } from '../../support/shared-servers.ts';

let replica: Replica;

beforeAll(async () => {
  const { source, target } = sharedServers();
  replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  for (const sql of [
    "create table plain (id int not null primary key, kind set('a','b'), twice int as (id * 2))",
    'create table scratch (id int not null primary key, unique key again (id)) engine=MEMORY',
    'create table history (id int not null primary key) with system versioning',
    'create table hashed (id int not null primary key, note text, unique key notes (note))',
    `create table blank (id int not null primary key, kind set('','b'))`,
    'create view plain_view as select id from plain',
    'create sequence plain_numbers',
  ])
    await admin.query(sql);
  await admin.end();
});

afterAll(async () => {
  await replica?.drop();
});

async function warnings(include: string): Promise<Record<string, string>> {
  const { stdout } = await runCli(['check', '--json'], { ...replica.env, TABLES_INCLUDE: include });
  const { findings } = JSON.parse(stdout) as { findings: Finding[] };
  return Object.fromEntries(
    findings
      .filter(({ level, subject }) => level === 'warning' && subject.startsWith('table'))
      .map(({ subject, message }) => [subject, message]),
  );
}

test('check names each table that cannot be replicated exactly, with the reason, before it is copied', async () => {
  expect(await warnings('')).toEqual({
    'table history': expect.stringContaining('system-versioned'),
    'table hashed': expect.stringContaining('index notes is kept by hashes'),
    'table blank': expect.stringContaining('column kind: the set has an empty member'),
  });
});

test.each([
  ['plain_view', 'view'],
  ['plain_numbers', 'sequence'],
  ['plane', 'no table'],
])('check says what %s in TABLES_INCLUDE is', async (name, what) => {
  expect(await warnings(`plain,${name}`)).toEqual({ tables: expect.stringContaining(what) });
});
