import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parse, populate } from 'dotenv';
import { TidegateError } from '../errors/tidegate-error.ts';
import { decodeText } from './text-file.ts';

/**
 * An assignment as dotenv reads it (https://github.com/motdotla/dotenv: LINE). A quoted value may have several lines. A test compares its
 * names with those that dotenv finds.
 */
const assignment =
  /^\s*(?:export\s+)?([\w.-]+)(?:\s*=\s*?|:\s+?)(\s*'(?:\\'|[^'])*'|\s*"(?:\\"|[^"])*"|\s*`(?:\\`|[^`])*`|[^#\r\n]+)?\s*(?:#.*)?$/gm;

/**
 * Adds the settings of `file`, if it exists, to `environment`. Existing variables win. Returns what is wrong in the file, by names and line
 * numbers: a line may be a password. Raises TidegateError config if the file cannot be read as text.
 */
export function addEnvFile(environment: NodeJS.ProcessEnv, file = '.env'): string[] {
  if (!existsSync(file)) return [];
  const text = decodeText(read(file));
  if (text === null)
    throw new TidegateError('config', `${resolve(file)} is not UTF-8 text; an editor may have saved it as UTF-16`, {
      hint: `Save ${file} again as UTF-8. In PowerShell 5: Set-Content -Encoding UTF8; in Notepad: Save as, Encoding UTF-8.`,
    });
  populate(environment, parse(text));
  return problemsIn(text.replaceAll(/\r\n?/g, '\n')).map((problem) => `${resolve(file)}: ${problem}`);
}

/** Names that stand twice, and lines that are no assignment. dotenv takes the last value, and ignores such lines. */
function problemsIn(text: string): string[] {
  const problems: string[] = [];
  const firstLines = new Map<string, number>();
  const lineAt = (index: number) => text.slice(0, index).split('\n').length;
  const rest = text.replaceAll(assignment, (whole: string, name: string, _value: unknown, index: number) => {
    const line = lineAt(index + whole.indexOf(name));
    const first = firstLines.get(name);
    if (first === undefined) firstLines.set(name, line);
    else problems.push(`${name} is in lines ${first} and ${line}: keep one`);
    return whole.replaceAll(/[^\n]/g, '');
  });
  for (const [index, line] of rest.split('\n').entries())
    if (!/^\s*(#|$)/.test(line))
      problems.push(`line ${index + 1} is not NAME=value: correct it, or begin it with # to keep it as a comment`);
  return problems;
}

function read(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new TidegateError('config', `${resolve(file)} cannot be read (${code})`, {
      cause: error,
      hint:
        code === 'EISDIR'
          ? 'It is a folder. Remove it, and copy .env.template to a file of that name.'
          : 'Let the user that runs Tidegate read it, or remove it and set the variables in the environment.',
    });
  }
}
