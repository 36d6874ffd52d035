import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { environmentSchema, secretNames } from '../../src/config/environment.ts';
import { runCli } from '../support/cli.ts';

/** Users copy these files and follow these pages literally, so each setting and command in them must exist. */

const checkout = fileURLToPath(new URL('../..', import.meta.url));
const ops = (await readdir(join(checkout, 'ops'), { recursive: true, withFileTypes: true }))
  .filter((entry) => entry.isFile())
  .map(({ parentPath, name }) => join(parentPath, name).slice(checkout.length));
const docs = (await readdir(join(checkout, 'docs')))
  .filter((name) => name.endsWith('.md'))
  .map((name) => `docs/${name}`);
const files = [...ops, ...docs, 'README.md', 'docker-compose.yml', 'Dockerfile'].sort();

const settings = new Set([...Object.keys(environmentSchema.shape), ...secretNames.map((name) => `${name}_FILE`)]);

/** Names that look like settings but are not. */
const others = new Set([
  // Node, the tests, and the images of docker-compose.yml.
  'NODE_ENV',
  'NODE_OPTIONS',
  'TIDEGATE_SERVERS',
  'TIDEGATE_TEST_SOURCE_URL',
  'TIDEGATE_TEST_TARGET_URL',
  'MARIADB_ROOT_PASSWORD',
  'MARIADB_DATABASE',
  'POSTGRES_PASSWORD',
  'POSTGRES_DB',
  // Ports that docker-compose.yml publishes.
  'SOURCE_PORT',
  'TARGET_PORT',
  // Terms of MySQL, Linux and Windows.
  'AFTER_SYNC',
  'MASTER_DELAY',
  'TABLE_MAP',
  'AF_INET',
  'AF_INET6',
  'AF_UNIX',
  'SERVICE_START_NAME',
  // Modes of MySQL's sql_mode.
  'PAD_CHAR_TO_FULL_LENGTH',
  'NO_UNSIGNED_SUBTRACTION',
  'NO_ZERO_DATE',
  'ALLOW_INVALID_DATES',
  'TIME_TRUNCATE_FRACTIONAL',
  'STRICT_ALL_TABLES',
]);

const withUnderscore = /(?<![\w$])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?!\w)/g;
/** A single word is a setting if a value follows it. */
const withValue = /(?<=["\s`]|^)[A-Z]{4,}(?==\S|" value=)|(?<=^ *)[A-Z]{4,}(?=: )/gm;

const helps = new Map<string, string>();
const rootHelp = await helpOf();
const commands = commandsIn(rootHelp);

async function helpOf(...command: string[]): Promise<string> {
  const name = command.join(' ');
  const help = helps.get(name) ?? (await runCli([...command, '--help'], {})).stdout;
  helps.set(name, help);
  return help;
}

function commandsIn(help: string): Set<string> {
  const list = /^Commands:\n(.*?)(?:\n\n|$(?!\n))/ms.exec(help)?.[1] ?? '';
  return new Set([...list.matchAll(/^ {2}([a-z-]+)/gm)].map(([, name = '']) => name).filter((name) => name !== 'help'));
}

describe.each(files)('%s', (file) => {
  test('names only settings that exist', async () => {
    const text = await readFile(join(checkout, file), 'utf8');
    const names = [...text.matchAll(withUnderscore), ...text.matchAll(withValue)].map(([name]) => name);
    expect(names.filter((name) => !settings.has(name) && !others.has(name))).toEqual([]);
  });

  test('calls only commands and options that exist', async () => {
    const wrong: string[] = [];
    for (const call of callsIn(file, await readFile(join(checkout, file), 'utf8')))
      if (!(await isKnown(call))) wrong.push(call);
    expect(wrong).toEqual([]);
  });
});

test.each(files.filter((file) => /\.ya?ml$/.test(file)))('%s is YAML', async (file) => {
  const documents = parseAllDocuments(await readFile(join(checkout, file), 'utf8'));
  expect(documents.length).toBeGreaterThan(0);
  for (const { errors, warnings } of documents) expect([...errors, ...warnings]).toEqual([]);
});

test('a wrong name or call is detected', async () => {
  expect('  LOGLEVEL: info\nLISTN=off <env name="LOGS" value="x" />'.match(withValue)).toEqual([
    'LOGLEVEL',
    'LISTN',
    'LOGS',
  ]);
  expect('set SOURCE_DB_HOTS there'.match(withUnderscore)).toEqual(['SOURCE_DB_HOTS']);
  const calls = callsIn(
    'page.md',
    '```\nsudo tidegate lga --json | jq\n```\nor `npm start -- lag --jsn`, `jobs cancl 17`',
  );
  expect(calls).toEqual(['lga --json', 'lag --jsn', 'jobs cancl 17']);
  for (const call of calls) expect([call, await isKnown(call)]).toEqual([call, false]);
  for (const call of ['lag --json', 'dead-letters list patient', '--version', 'jobs cancel 17'])
    expect([call, await isKnown(call)]).toEqual([call, true]);
});

/** The text after `tidegate`, up to the end of that command. On a page, only code counts. */
const behindProgram =
  /(?:(?<![\w/.=-])tidegate(?:\.cmd'?)?|npm start(?: --silent)? --|main\.js"?)[ \t]+((?!tidegate)[a-z-][^\\|&;:<>#`\n]*)/g;

function callsIn(file: string, text: string): string[] {
  const behind = (code: string) => [...code.matchAll(behindProgram)].map(([, call = '']) => call.trim());
  if (!file.endsWith('.md')) return behind(text);
  const fenced = /^ *```\w*\n(.*?)^ *```$/gms;
  const blocks = [...text.matchAll(fenced)].map(([, block = '']) => block);
  // In a table `\|` is a bar.
  const quoted = [...text.replaceAll(fenced, '').matchAll(/`([^`\n\\]+)[^`\n]*`/g)].map(([, words = '']) => words);
  // In prose a command appears without the program's name.
  const bare = quoted.filter((words) => commands.has(words.split(' ')[0] ?? ''));
  return [...blocks.flatMap(behind), ...quoted.flatMap(behind), ...bare];
}

async function isKnown(call: string): Promise<boolean> {
  const [command = '', subcommand = ''] = call.split(' ');
  if (command.startsWith('-')) return optionsAreIn(rootHelp, call);
  if (!commands.has(command)) return false;
  const help = await helpOf(command);
  const subcommands = commandsIn(help);
  if (subcommands.size === 0 || !/^[a-z]/.test(subcommand)) return optionsAreIn(help, call);
  return subcommands.has(subcommand) && optionsAreIn(await helpOf(command, subcommand), call);
}

function optionsAreIn(help: string, call: string): boolean {
  const known = new Set(help.match(/--[a-z-]+/g));
  return (call.match(/(?<!\w)--[a-z-]+/g) ?? []).every((option) => known.has(option));
}
