import { InvalidArgumentError } from 'commander';

// What the values of options and arguments must be; commander tells which one it was.

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
  // To the servers an empty host is any host.
  if (text === '') throw new InvalidArgumentError('It must be a host, an address, or a pattern of them.');
  return text;
}

/** Ids stay text, because PostgreSQL's bigint is wider than a number here. */
export function jobIds(text: string, before: readonly string[] = []): string[] {
  if (!/^[1-9]\d{0,17}$/.test(text)) throw new InvalidArgumentError('It must be the number of a job.');
  return [...before, text];
}
