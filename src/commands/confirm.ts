import { createInterface } from 'node:readline/promises';
import type { Confirmation } from '../postgres/control/events.ts';
import { TidegateError } from '../errors/tidegate-error.ts';

/**
 * In production, asks at the terminal for the schema's name, so that a finger on Enter destroys nothing; null: it was not given.
 * Raises refused where there is no terminal to ask at.
 */
export async function confirm(environment: string, yes: boolean, schema: string): Promise<Confirmation | null> {
  if (yes) return 'option';
  if (environment !== 'production') return 'not asked';
  if (!process.stdin.isTTY)
    throw new TidegateError('refused', 'in production this must be confirmed, and there is no terminal to ask at', {
      hint: 'Add --yes if a script is meant to do this.',
    });
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await prompt.question(`type the schema's name to go on: `)).trim() === schema ? 'typed' : null;
  } finally {
    prompt.close();
  }
}

/** The first few, and how many more. */
export function namesInWords(names: readonly string[]): string {
  const shown = names.slice(0, 10).join(', ');
  return names.length > 10 ? `${shown} and ${names.length - 10} more` : shown;
}
