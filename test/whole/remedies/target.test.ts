import type { Connection } from 'mysql2/promise';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { RunProcess } from '../../../testing/run-process.ts';
import { runCli } from '../../support/cli.ts';
import { sharedServers } from '../../support/shared-servers.ts';
import { findings, others, runPrinted, statementsIn } from './remedy.ts';

let replica: Replica;
let admin: Connection;
let names: { readonly ROLE: string; readonly DB: string };

beforeAll(async () => {
  const { source, target } = sharedServers();
  replica = await createReplica(source, target);
  names = { ROLE: replica.env['TARGET_DB_USER'] ?? '', DB: replica.targetDatabase };
  admin = await replica.sourceAdmin();
  await admin.query('create table visit (id int not null primary key) engine=InnoDB');
});

afterAll(async () => {
  await admin?.end();
  await replica?.drop();
});

/** Runs all statements of the only finding, which is about the target. Then nothing is found any more. */
async function mended(kind: string, env: Readonly<Record<string, string>> = replica.env): Promise<void> {
  const found = others(await findings(env));
  expect(found.map(({ subject }) => subject)).toEqual(['target']);
  expect([kind, undefined]).toContain(found[0]?.kind);
  const statements = statementsIn(found[0]?.remedy ?? '');
  expect(statements).not.toEqual([]);
  for (const statement of statements) await replica.targetAdmin.query(statement);
  expect(others(await findings(env))).toEqual([]);
}

const change = async (statement: string) =>
  await replica.targetAdmin.query(statement.replaceAll(/ROLE|DB/g, (name) => names[name as keyof typeof names]));

describe('target-privilege', () => {
  test.each([
    ['create schemas', 'revoke create on database DB from public, ROLE'],
    ['use a schema that exists', 'create schema raw'],
  ])('a role that may not %s gets the right by what is printed', async (_, statement) => {
    await change(statement);
    await mended('target-privilege');
  });
});

describe('target-unreachable', () => {
  test.each([
    ['read-only to the role', 'alter role ROLE set default_transaction_read_only = on'],
    ['read-only to all', 'alter database DB set default_transaction_read_only = on'],
    ['without a connection left for the role', 'alter role ROLE connection limit 0'],
    ['without a connection left for the database', 'alter database DB connection limit 0'],
  ])('a target that is %s is ready after what is printed', async (_, statement) => {
    await change(statement);
    await mended('target-unreachable');
    await change('alter role ROLE reset all; alter role ROLE in database DB reset all; alter database DB reset all');
  });
});

describe('target-login', () => {
  test('a wrong password: the hint names the setting to correct', async () => {
    const [found, ...more] = others(await findings({ ...replica.env, TARGET_DB_PASSWORD: 'wrong' }));
    expect(found).toMatchObject({ kind: 'target-login', subject: 'target' });
    expect(found?.remedy).toContain('TARGET_DB_PASSWORD');
    expect(more).toEqual([]);
  });

  test('a role that may not log in may after what is printed', async () => {
    await change('alter role ROLE nologin');
    await mended('target-login');
  });

  test('a database that is missing is created by what is printed', async () => {
    const name = `${names.DB} "new"`;
    try {
      await mended('target-login', { ...replica.env, TARGET_DB_NAME: name });
    } finally {
      await replica.targetAdmin.query(`drop database if exists ${pg.escapeIdentifier(name)} with (force)`);
    }
  });
});

describe('target-refused', () => {
  test('a rule that keeps rows is named; once it is dropped, the command that check prints repairs the table', async () => {
    const { targetAdmin, env } = replica;
    await admin.query('insert into visit values (1), (2)');
    const run = new RunProcess(env);
    try {
      await run.logged('streaming');
      await targetAdmin.query('create rule keep as on delete to raw.visit do instead nothing');
      await admin.query('delete from visit where id = 2');
      await run.logged('table suspended', undefined, 60_000);
      const [found] = others(await findings(env));
      expect(found?.message).toContain('rule keep at the target');
      const [rule] = /rule (?=keep)\w+/.exec(found?.message ?? '') ?? [];
      await targetAdmin.query(`drop ${rule} on raw.visit`);
      await runPrinted(found?.remedy ?? '', /to try now: tidegate (backfill \w+)/, env);
      expect((await targetAdmin.query('select id from raw.visit')).rows).toEqual([{ id: 1 }]);
      expect(others(await findings(env))).toEqual([]);
      await run.stop();
    } finally {
      await run.kill();
    }
  });

  test('a view in the way of reset is named; once it is dropped, reset passes', async () => {
    const { targetAdmin, env } = replica;
    await targetAdmin.query('create view visits as select id from raw.visit');
    const refused = await runCli(['reset', '--yes'], env);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('Drop it first') as string });
    const [, view] = /table visit: (view \w+)/.exec(refused.stderr) ?? [];
    await targetAdmin.query(`drop ${view}`);
    expect((await runCli(['reset', '--yes'], env)).code).toBe(0);
  });
});
