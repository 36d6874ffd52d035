import type { ErrorKind } from './kinds.ts';
import { TidegateError } from './tidegate-error.ts';

/** SQLSTATE classes and codes (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
const kindByState: Readonly<Record<string, ErrorKind>> = {
  '08': 'target-unreachable',
  '25006': 'target-unreachable', // read only: a standby, or in recovery
  '28': 'target-login',
  '3D': 'target-login',
  '42501': 'target-privilege',
  '40': 'target-busy',
  '55P03': 'target-busy',
  '57': 'target-unreachable',
  '53': 'target-unreachable',
  '22': 'target-refused',
  '23': 'target-refused',
  '2B': 'target-refused', // something depends on it
  '42': 'target-refused',
};

/** What pg raised, by SQLSTATE alone: its message, DETAIL and CONTEXT carry values. */
export function fromPostgres(error: unknown, { what }: { readonly what: string }): TidegateError {
  if (error instanceof TidegateError) return error;
  const raw = (error as { code?: unknown } | null)?.code;
  const code = typeof raw === 'string' ? raw : '';
  const isState = /^[0-9A-Z]{5}$/.test(code);
  const kind = isState ? (kindByState[code] ?? kindByState[code.slice(0, 2)] ?? 'internal') : 'target-unreachable';
  return new TidegateError(
    kind,
    `target: ${what} failed: ${isState ? `SQLSTATE ${code}` : code === '' ? 'the connection broke' : code}`,
    { cause: error },
  );
}
