import type { ErrorKind } from './error-kinds.ts';
import { TidegateError } from './tidegate-error.ts';
import { certificateHint, isCertificateCode, isNetworkError } from './transport-errors.ts';

/** What a SQLSTATE means, and what to do where that can be told better than by the kind. */
interface Meaning {
  readonly kind: ErrorKind;
  readonly hint?: string;
}

const unreachable: Meaning = { kind: 'target-unreachable' };
const refused: Meaning = { kind: 'target-refused' };

/** By SQLSTATE or, below it, its class (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
const byState: Readonly<Record<string, Meaning>> = {
  '08': unreachable,
  '0B': refused,
  '22': refused,
  '23': refused,
  '25006': {
    kind: 'target-unreachable',
    hint: 'The target is read-only: TARGET_DB_HOST leads to a standby, or default_transaction_read_only is on there. It is tried again, for a standby may be promoted.',
  },
  '27': refused, // a trigger changed the row under the statement
  '28': { kind: 'target-login', hint: 'Check TARGET_DB_USER and TARGET_DB_PASSWORD.' },
  '28000': {
    kind: 'target-login',
    hint: 'The role is unknown, may not log in, or pg_hba.conf has no line for it from this machine (with or without TLS, as TARGET_DB_TLS says).',
  },
  '28P01': { kind: 'target-login', hint: 'Check TARGET_DB_USER and TARGET_DB_PASSWORD: the password was refused.' },
  '2B': {
    kind: 'target-refused',
    hint: 'Something at the target, as a view, depends on what had to be dropped: drop it, and make it again afterwards.',
  },
  '3D': { kind: 'target-login', hint: 'There is no such database: check TARGET_DB_NAME, or create it.' },
  '38': refused, // a trigger's function
  '39': refused,
  '40': { kind: 'target-busy' },
  '42': refused,
  '42501': { kind: 'target-privilege' },
  '44': refused, // a view's check option
  '53': unreachable, // out of memory, disk or connections
  '53200': {
    kind: 'target-unreachable',
    hint: 'PostgreSQL is out of memory, or of room for locks where there are thousands of tables: then raise max_locks_per_transaction and restart it. It is tried again.',
  },
  '53100': {
    kind: 'target-unreachable',
    hint: "The target's disk is full. Make room; it is tried again until there is.",
  },
  '54': refused, // more than PostgreSQL can hold
  '55P03': { kind: 'target-busy' },
  '57': unreachable, // cancelled, shutting down, starting up
  P0: refused, // raised by a trigger
};

/** Classes that are about the row at hand; others, as of a missing column, are about all of them. */
const rowClasses = new Set(['22', '23', '27', '38', '39', '44', '54', 'P0']);

/** The SQLSTATE that PostgreSQL raised; null: the failure is not PostgreSQL's. */
export function sqlStateOf(error: unknown): string | null {
  const { code } = raisedBy(error);
  return isState(code) ? code : null;
}

/** What pg raised, itself or inside a TidegateError: fields that may hold values and are for programs only. */
export function raisedBy(error: unknown): {
  readonly code?: unknown;
  readonly column?: unknown;
  readonly where?: unknown;
} {
  const raw = error instanceof TidegateError ? error.cause : error;
  return typeof raw === 'object' && raw !== null ? raw : {};
}

/** Whether PostgreSQL refused a row for what is in it. */
export function isRowRefusal(error: unknown): boolean {
  return rowClasses.has((sqlStateOf(error) ?? '').slice(0, 2));
}

function isState(code: unknown): code is string {
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && /\d/.test(code);
}

/** What pg raised, by SQLSTATE alone: its message, DETAIL and CONTEXT carry values. */
export function fromPostgres(error: unknown, { what }: { readonly what: string }): TidegateError {
  if (error instanceof TidegateError) return error;
  const raw = (error as { code?: unknown } | null)?.code;
  const code = typeof raw === 'string' ? raw : '';
  const { kind, hint } = isState(raw) ? meaningOf(raw) : meaningWithoutState(error, code);
  return new TidegateError(
    kind,
    `target: ${what} failed: ${isState(raw) ? `SQLSTATE ${raw}` : code !== '' ? code : kind === 'internal' ? 'unexpected' : 'the connection broke'}`,
    { cause: error, ...(hint === undefined ? {} : { hint }) },
  );
}

function meaningOf(state: string): Meaning {
  return byState[state] ?? byState[state.slice(0, 2)] ?? { kind: 'internal' };
}

/** What did not come from the server: the network, TLS, or a mistake of ours. */
function meaningWithoutState(error: unknown, code: string): Meaning {
  if (isCertificateCode(code)) return { kind: 'target-tls', hint: certificateHint('TARGET') };
  // pg tells a lost connection by a plain Error without a code. A TypeError and its like are bugs, and trying again is no cure.
  const isLost =
    code === ''
      ? error instanceof Error && Object.getPrototypeOf(error) === Error.prototype
      : isNetworkError(error as { code?: unknown; syscall?: unknown });
  return isLost ? unreachable : { kind: 'internal' };
}
