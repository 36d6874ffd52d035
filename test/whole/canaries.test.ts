import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RunProcess } from '../../testing/run-process.ts';
import { Streaming } from '../pipeline/stream/support/streaming.ts';
import { runCli } from '../support/cli.ts';
import { sharedServers } from '../support/shared-servers.ts';
import { commandEnv } from '../../testing/command-env.ts';
import { program } from '../../testing/program.ts';

/** This word is part of every value that can hold it. It must not appear anywhere outside the two databases. */
const canary = `canary${randomBytes(6).toString('hex')}`;
const token = `token-of-${randomBytes(8).toString('hex')}`;
const outputs: { readonly from: string; readonly text: string }[] = [];
let streaming: Streaming;

/** The outputs that contain one of the words, in any form in which a value might be printed. */
function sightings(words: readonly string[]): string[] {
  const forms = words.flatMap((word) => {
    const bytes = Buffer.from(word, 'utf8');
    return [word, bytes.toString('hex'), bytes.toString('hex').toUpperCase()];
  });
  return outputs.filter(({ text }) => forms.some((form) => text.includes(form))).map(({ from }) => from);
}

async function cli(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<number | null> {
  const { code, stdout, stderr } = await runCli(args, { ...streaming.env, LOG_LEVEL: 'trace', ...env });
  outputs.push({ from: `${args.join(' ')} ${Object.keys(env).join(' ')}`, text: stdout + stderr });
  return code;
}

/** Runs a command whose output is a terminal, so that it shows progress bars. */
async function onTerminal(args: readonly string[], env: Readonly<Record<string, string>>): Promise<string> {
  const command = [process.execPath, program(), ...args].join(' ');
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    cwd: new URL('../..', import.meta.url),
    env: commandEnv({ TERM: 'xterm', ...streaming.env, LOG_LEVEL: 'trace', ...env }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part) => (text += part));
  await once(child, 'close');
  outputs.push({ from: `${args.join(' ')} on a terminal`, text });
  return text;
}

function keep(from: string, run: RunProcess): void {
  outputs.push({ from, text: run.tail(Number.MAX_SAFE_INTEGER) });
}

/** The columns of the control schema that people read. Rows, keys and definitions are also there, but stay in the database. */
async function readByPeople(): Promise<void> {
  for (const [table, columns] of [
    ['events', 'kind, detail'],
    ['status', 'state, detail'],
    ['tables', 'state, reason'],
    ['dead_letters', 'reason, column_name, sqlstate'],
    ['conversions', 'column_name, kind'],
    ['lease', 'holder'],
    ['controls', 'changed_by'],
    ['jobs', 'table_name, kind, state, reason, requested_by'],
  ])
    outputs.push({
      from: `tidegate_raw.${table}`,
      text: JSON.stringify(await streaming.rows(`select ${columns} from tidegate_raw.${table}`)),
    });
}

beforeAll(async () => {
  streaming = await Streaming.start(
    async (source) => {
      await source.query(
        `create table notes (id varchar(60) not null primary key, body text, raw blob, doc json, at datetime, label varchar(60) default '${canary}') default charset=utf8mb4`,
      );
      for (const name of ['dropped', 'triggered', 'stated'])
        await source.query(
          `create table ${name} (id varchar(60) not null primary key, body text) default charset=utf8mb4`,
        );
      await source.query(
        `insert into notes values ('${canary} 1', '${canary}', '${canary}', '{"a": "${canary}"}', '2024-01-01', '${canary}'),
           ('${canary} 2', concat('${canary}', _utf8mb4 x'eda080'), '${canary}', null, null, null)`,
      );
    },
    sharedServers(),
    { LOG_LEVEL: 'trace', LISTEN: '127.0.0.1:0', LISTEN_TOKEN: token },
  );
});

/** All answers of `run` to browsers and monitoring, also to clients without the token. */
async function served(when: string): Promise<void> {
  const url = String((await streaming.run.logged('status page'))['url']);
  for (const path of ['', 'status.json', 'history.json', 'metrics', 'healthz', 'readyz', canary])
    for (const headers of [{ authorization: `Bearer ${token}` }, { authorization: `Bearer ${canary}` }]) {
      const answer = await fetch(url + path, { headers });
      outputs.push({ from: `${when}: /${path}`, text: [...answer.headers].join() + (await answer.text()) });
    }
}

afterAll(async () => {
  await streaming?.end();
});

test('no value, password or statement is in any output, whatever goes wrong', async () => {
  const { source, target, env } = streaming;
  await cli(['check']);
  await cli(['check', '--json']);

  // Rows that are written, rows that are refused, and a target that quotes them in its messages.
  await target.query(`alter table notes add constraint no_longer check (label is null or label not like '%refused%')`);
  await target.query(
    `create function tell() returns trigger language plpgsql as $$
       begin raise exception 'the row is %', new.body using detail = new.body, hint = new.body; end $$`,
  );
  await target.query('create trigger tell before insert on triggered for each row execute function tell()');
  await source.query(`insert into notes (id, body, label) values ('${canary} 3', '${canary}', '${canary} refused')`);
  await source.query(`insert into notes (id, body) values ('${canary} 4', concat('${canary}', _utf8mb4 x'eda080'))`);
  await source.query(`update notes set body = '${canary} changed' where id = '${canary} 1'`);
  await source.query(`delete from notes where id = '${canary} 1'`);
  await source.query(`insert into triggered values ('${canary}', '${canary}')`);
  await streaming.caughtUp();
  // Differences of every kind, verified and repaired: entire tables, and by a condition that contains values.
  await target.query(`update stated set body = '${canary} by hand'`);
  await target.query(`insert into stated values ('${canary} too many', '${canary}')`);
  await source.query(`insert into stated values ('${canary} stated', '${canary}')`);
  for (const args of [
    ['verify'],
    ['verify', '--json', 'stated'],
    ['verify', '--repair', 'stated'],
    ['backfill', 'stated', '--json', '--where', `body like '%${canary}%'`],
    ['backfill', 'stated', '--where', `body = "${canary}"`],
    ['backfill', 'stated', '--where', `sleep('${canary}')`],
    ['backfill', 'stated', '--detach'],
    ['backfill', 'no_such_table'],
    ['jobs'],
    ['jobs', '--json'],
  ])
    await cli(args);
  await served('while it streams');
  expect(outputs.find(({ from }) => from.endsWith('/status.json'))?.text).toContain('"state":"streaming"');
  await target.query('alter table dropped drop column body');
  await source.query(`insert into dropped values ('${canary}', '${canary}')`);
  await streaming.until(
    async () => (await streaming.tableState('dropped')).state === 'suspended',
    'dropped is suspended',
  );
  await source.query(`create user if not exists '${canary}'@'%' identified by '${canary}'`);
  await source.query(`drop user '${canary}'@'%'`);
  await source.query(`alter table notes add column more varchar(60) default '${canary}'`);
  await streaming.until(async () => (await streaming.tableState('notes')).state === 'suspended', 'notes is suspended');
  const session = await streaming.newSourceSession();
  await session.query(`set session binlog_format = 'STATEMENT'`);
  await session.query(`insert into stated values ('${canary}', '${canary}')`);
  await session.end();
  await streaming.until(
    async () => (await streaming.tableState('stated')).state === 'suspended',
    'stated is suspended',
  );

  for (const args of [['lag'], ['lag', '--json'], ['dead-letters', 'list'], ['dead-letters', 'list', '--json']])
    expect(await cli(args)).toBe(0);
  await cli(['dead-letters', 'retry']);
  await cli(['pause']);
  await cli(['resume']);
  await cli(['grants']);
  await served('after faults');
  await streaming.run.stop();
  keep('run', streaming.run);

  // Connections that fail while they carry a secret.
  const failures: Readonly<Record<string, string>>[] = [
    { SOURCE_DB_READONLY_PASSWORD: canary },
    { SOURCE_DB_REPLICATION_PASSWORD: canary },
    { TARGET_DB_PASSWORD: canary },
    { SOURCE_DB_PORT: '1', SOURCE_DB_READONLY_PASSWORD: canary },
    { TARGET_DB_PORT: '1', TARGET_DB_PASSWORD: canary },
    { SOURCE_DB_HOST: 'host.invalid', SOURCE_DB_READONLY_PASSWORD: canary, SOURCE_DB_TLS: 'disable' },
    { SOURCE_DB_TLS: 'verify-ca', SOURCE_DB_READONLY_PASSWORD: canary },
    { TARGET_DB_TLS: 'verify-ca', TARGET_DB_PASSWORD: canary },
    { SOURCE_SERVER_ID: canary, LOG_LEVEL: canary, COLUMN_RULES: canary, SNAPSHOT_WINDOW: canary },
  ];
  for (const failure of failures) {
    expect(await cli(['check'], failure)).toBe(1);
    const run = new RunProcess({ ...env, LOG_LEVEL: 'trace', ...failure });
    // It ends, or looks again until it is stopped where another attempt may help.
    const isOver = await Promise.race([
      run.exited.then(() => true),
      run.logged('the checks are repeated').then(
        () => false,
        () => true,
      ),
    ]);
    if (!isOver) run.signal('SIGTERM');
    expect((await run.exited).code === 0).toBe(!isOver);
    keep(`run ${Object.keys(failure).join(' ')}`, run);
  }
  await cli(['lag', '--json'], { TARGET_DB_PASSWORD: canary });

  await readByPeople();
  const dead = await streaming.rows(`select distinct table_name from tidegate_raw.dead_letters order by 1`);
  expect(dead).toEqual([['notes'], ['triggered']]);

  // A resync and a reset, then a new copy on a terminal with progress bars, killed during the copy and run to its end.
  await cli(['resync', '--yes']);
  await cli(['reset', '--yes'], { ENVIRONMENT: 'production' });
  const terminal = await onTerminal(['run', '--until-caught-up'], { TIDEGATE_FAILPOINT: 'chunk-committed:2' });
  expect(terminal).not.toBe('');
  const killed = streaming.another(['--until-caught-up'], {
    LOG_LEVEL: 'trace',
    TIDEGATE_FAILPOINT: 'checkpoint-written:1',
  });
  await killed.exited;
  keep('run killed', killed);
  await onTerminal(['run', '--until-caught-up'], {});
  await onTerminal(['verify', 'notes'], {});

  await readByPeople();
  const passwords = Object.entries(env)
    .filter(([name]) => name.endsWith('_PASSWORD'))
    .map(([, value]) => value);
  expect(passwords.length).toBe(3);
  expect(sightings([canary, token, ...passwords])).toEqual([]);

  // Proof that the search finds a leak.
  outputs.push({ from: 'a hex leak', text: Buffer.from(canary).toString('hex') });
  expect(sightings([canary])).toEqual(['a hex leak']);
});
