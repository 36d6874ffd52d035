import { InvalidArgumentError } from 'commander';

// What the values of options must be; commander tells which option it was.

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
