import type { Connection } from 'mysql2/promise';
import { expect } from 'vitest';
import type { Finding } from '../../../src/errors/finding.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import type { SourceServer } from '../../../testing/servers/server.ts';
import { type SourceOptions, startSource } from '../../../testing/servers/source.ts';
import { runCli } from '../../support/cli.ts';
import { sharedServers } from '../../support/shared-servers.ts';

type Env = Readonly<Record<string, string>>;

/** A replica whose source belongs to one suite, because its settings are changed. It has one table. */
export interface OwnSource extends AsyncDisposable {
  readonly source: SourceServer;
  readonly replica: Replica;
  readonly admin: Connection;
}

export async function startOwnSource(options: SourceOptions): Promise<OwnSource> {
  await using begun = new AsyncDisposableStack();
  const source = await startSource(options);
  begun.defer(async () => await source.stop());
  const replica = await createReplica(source, sharedServers().target);
  begun.defer(async () => await replica.drop());
  const admin = await replica.sourceAdmin();
  begun.defer(async () => await admin.end());
  await admin.query('create table patient (PatNum bigint not null primary key) engine=InnoDB');
  const all = begun.move();
  return { source, replica, admin, [Symbol.asyncDispose]: async () => await all.disposeAsync() };
}

/** What `check` finds, apart from what is in order. */
export async function findings(env: Env): Promise<Finding[]> {
  const { stdout, stderr } = await runCli(['check', '--json'], env);
  expect(stderr).toBe('');
  return (JSON.parse(stdout) as { findings: Finding[] }).findings.filter(({ level }) => level !== 'ok');
}

/** A server that tests start for themselves does not wait for the disk, and check warns of that. */
export const others = (found: readonly Finding[]) => found.filter(({ message }) => !message.includes('sync_binlog'));

const beginnings = [
  ...['set global', 'grant', 'flush', 'truncate table', 'repair table'],
  ...['alter user', 'alter role', 'alter database', 'create database'],
];

/** The complete statements in a remedy. One that still has a … or a placeholder is not complete. */
export function statementsIn(remedy: string): string[] {
  return remedy.match(new RegExp(String.raw`\b(?:${beginnings.join('|')}) [^;…<>]*;`, 'g')) ?? [];
}

/** Runs the first `tidegate …` of a text as it is printed. */
export async function runPrinted(text: string, command: RegExp, env: Env): Promise<void> {
  const [, args = 'none'] = command.exec(text) ?? [];
  const { code, stdout, stderr } = await runCli(args.split(' '), env);
  expect([args, code, stdout + stderr]).toEqual([args, 0, expect.anything()]);
}
