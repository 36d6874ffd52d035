import { existsSync, readFileSync } from 'node:fs';
import { parse, populate } from 'dotenv';
import { TidegateError } from '../errors/tidegate-error.ts';
import { decodeText } from './text-file.ts';

/** Adds the settings of `file`, if it exists, to `environment`. Existing variables win. Raises TidegateError config. */
export function addEnvFile(environment: NodeJS.ProcessEnv, file = '.env'): void {
  if (!existsSync(file)) return;
  const text = decodeText(read(file));
  if (text === null)
    throw new TidegateError('config', `${file} is not UTF-8 text; an editor may have saved it as UTF-16`, {
      hint: `Save ${file} again as UTF-8. In PowerShell 5: Set-Content -Encoding UTF8; in Notepad: Save as, Encoding UTF-8.`,
    });
  populate(environment, parse(text));
}

function read(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new TidegateError('config', `${file} cannot be read (${(error as NodeJS.ErrnoException).code})`, {
      cause: error,
    });
  }
}
