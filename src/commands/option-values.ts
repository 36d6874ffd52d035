import { InvalidArgumentError } from 'commander';

// Checks of option and argument values. Commander adds the name of the option to the message.

export function nonNegative(text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) throw new InvalidArgumentError('It must be a number of seconds.');
  return Number(text);
}

export function positiveWhole(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('It must be a whole number from 1.');
  return Number(text);
}

export function notEmptyText(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('It must be a condition.');
  return text;
}

export function notEmpty(text: string): string {
  // Servers take an empty host as any host.
  if (text === '') throw new InvalidArgumentError('It must be a host name, an address, or a pattern.');
  return text;
}

/** Ids stay text, because a PostgreSQL bigint can exceed the safe integers of JavaScript. */
export function jobIds(text: string, before: readonly string[] = []): string[] {
  if (!/^[1-9]\d{0,17}$/.test(text)) throw new InvalidArgumentError('It must be the id of a job.');
  return [...before, text];
}
