import { createHash } from 'node:crypto';
import type { Config } from './config.ts';

/** A hash that differs between configurations and reveals nothing of them. Passwords, the token and what is no setting are left out. */
export function configHash(config: Config): string {
  const text = JSON.stringify(config, (key, value: unknown) => {
    if (key === 'password' || key === 'token' || key === 'unknown') return undefined;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  });
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
