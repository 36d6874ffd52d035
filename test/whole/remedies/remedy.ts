import { expect } from 'vitest';
import type { Finding } from '../../../src/errors/finding.ts';
import { runCli } from '../../support/cli.ts';

type Env = Readonly<Record<string, string>>;

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
