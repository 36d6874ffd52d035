import { createInterface } from 'node:readline/promises';
import type { Confirmation } from '../postgres/control/events.ts';
import { TidegateError } from '../errors/tidegate-error.ts';

/**
 * In production, asks at the terminal for the schema's name, so that a stray Enter destroys nothing. Returns null if the name was not
 * typed. Raises refused if there is no terminal.
 */
export async function confirm(environment: string, yes: boolean, schema: string): Promise<Confirmation | null> {
  if (yes) return 'option';
  if (environment !== 'production') return 'not asked';
  if (!process.stdin.isTTY)
    throw new TidegateError('refused', 'in production this must be confirmed, and there is no terminal to ask on', {
      hint: 'Add --yes to run it from a script.',
    });
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await prompt.question(`type the name of the schema to continue: `)).trim() === schema ? 'typed' : null;
  } finally {
    prompt.close();
  }
}

/** The first ten names, then the number of the others. */
export function namesInWords(names: readonly string[]): string {
  const shown = names.slice(0, 10).join(', ');
  return names.length > 10 ? `${shown} and ${names.length - 10} more` : shown;
}
