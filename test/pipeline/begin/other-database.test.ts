import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { RunProcess } from '../../../testing/run-process.ts';
import { runCli } from '../../support/cli.ts';
import { sharedServers } from '../../support/shared-servers.ts';

let clinic: Replica;
let other: Replica;

beforeAll(async () => {
  const { source, target } = sharedServers();
  [clinic, other] = await Promise.all([createReplica(source, target), createReplica(source, target)]);
  for (const replica of [clinic, other]) {
    const admin = await replica.sourceAdmin();
    await admin.query('create table patient (id int not null primary key, note varchar(40)) engine=InnoDB');
    await admin.query('insert into patient values (1, ?)', [replica.database]);
    await admin.end();
  }
  await new RunProcess(clinic.env, ['--until-caught-up']).succeeded();
});

afterAll(async () => {
  await clinic?.drop();
  await other?.drop();
});

/** The target settings of `clinic` with the source settings of `other`. */
function mixedUp(): Record<string, string> {
  const source = Object.entries(other.env).filter(([name]) => name.startsWith('SOURCE_'));
  return { ...clinic.env, ...Object.fromEntries(source) };
}

async function isUnchanged(): Promise<void> {
  const { rows } = await clinic.targetAdmin.query('select note from raw.patient');
  expect(rows).toEqual([{ note: clinic.database }]);
}

test('rows of another database of the same server are never written to this target', async () => {
  const admin = await other.sourceAdmin();
  await admin.query(`update patient set note = 'changed'`);
  await admin.end();
  for (const command of [['check'], ['run', '--until-caught-up']]) {
    const { code, stdout } = await runCli(command, mixedUp());
    expect(code, stdout).not.toBe(0);
    expect(stdout).toContain(`the target has the rows of database ${clinic.database}`);
    await isUnchanged();
  }
});

test('a replica from before the database was recorded records it at the next start', async () => {
  await clinic.targetAdmin.query('update tidegate_raw.checkpoint set source_database = null');
  await new RunProcess(clinic.env, ['--until-caught-up']).succeeded();
  expect((await runCli(['check'], mixedUp())).code).toBe(1);
});
