import type { ErrorKind } from './error-kinds.ts';
import { TidegateError } from './tidegate-error.ts';
import { certificateHint, isCertificateCode, isNetworkError, unreachableCause } from './transport-errors.ts';

/** The kind of an SQLSTATE. `hint` replaces the hint of the kind where the state allows a better one. */
interface Meaning {
  readonly kind: ErrorKind;
  readonly hint?: string | ((login: Login) => string);
}

/** Who connects to what: quoted, for statements in the hint. */
interface Login {
  readonly role: string;
  readonly database: string;
}

interface TargetErrorContext {
  /** The attempted action in words: 'connect', 'apply'. */
  readonly what: string;
  /** Absent: the failure is not about the login. */
  readonly login?: Login;
}

const unreachable: Meaning = { kind: 'target-unreachable' };
const refused: Meaning = { kind: 'target-refused' };

/** Meanings by SQLSTATE, or by its class for other states (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
const byState: Readonly<Record<string, Meaning>> = {
  '08': unreachable,
  '0A000': {
    kind: 'target-refused',
    hint: 'PostgreSQL cannot do this with an object that was changed at the target. Most likely the table has a rule for insert or update there: drop it.',
  },
  '0B': refused,
  '22': refused,
  '23': refused,
  '25006': {
    kind: 'target-unreachable',
    hint: 'The target is read-only: TARGET_DB_HOST leads to a standby, or default_transaction_read_only is on there; `tidegate check` tells which. Tidegate tries again, because a standby may be promoted.',
  },
  '27': refused, // a trigger changed the row under the statement
  '28': { kind: 'target-login', hint: 'Check TARGET_DB_USER and TARGET_DB_PASSWORD.' },
  '28000': {
    kind: 'target-login',
    hint: ({ role }) =>
      `The role is unknown or may not log in, or pg_hba.conf has no line that admits it from this machine (with or without TLS, as in TARGET_DB_TLS). An administrator can admit the role: alter role ${role} login;`,
  },
  '28P01': { kind: 'target-login', hint: 'Check TARGET_DB_USER and TARGET_DB_PASSWORD: the password was refused.' },
  '2B': {
    kind: 'target-refused',
    hint: 'An object at the target, such as a view, depends on an object that must be dropped. Drop the dependent object and create it again afterwards.',
  },
  '3D': {
    kind: 'target-login',
    hint: ({ role, database }) =>
      `There is no such database: check TARGET_DB_NAME, or let an administrator create it: create database ${database} owner ${role} encoding 'UTF8' template template0;`,
  },
  '38': refused, // a trigger's function
  '39': refused,
  '40': { kind: 'target-busy' },
  '42': refused,
  '42501': { kind: 'target-privilege' },
  '44': refused, // a view's check option
  '53': unreachable, // out of memory, disk or connections
  '53200': {
    kind: 'target-unreachable',
    hint: 'PostgreSQL is out of memory. With thousands of tables it may lack memory for locks: raise max_locks_per_transaction and restart it. Tidegate tries again.',
  },
  '53300': {
    kind: 'target-unreachable',
    hint: ({ role, database }) =>
      `PostgreSQL has no connection left: other clients hold all of max_connections, or of the limit of this role or database. Tidegate tries again. If this stays, raise max_connections, or turn the limit off: alter role ${role} connection limit -1; or alter database ${database} connection limit -1;`,
  },
  '53100': {
    kind: 'target-unreachable',
    hint: "The target's disk is full. Free some space. Tidegate tries again.",
  },
  '54': refused, // more than PostgreSQL can hold
  '55P03': { kind: 'target-busy' },
  '57': unreachable, // cancelled
  '57P01': {
    kind: 'target-unreachable',
    hint: 'PostgreSQL or an administrator ended the session. Tidegate tries again.',
  },
  '57P03': {
    kind: 'target-unreachable',
    hint: 'PostgreSQL is starting, shutting down or recovering. Tidegate tries again.',
  },
  P0: refused, // raised by a trigger
};

/** Classes of failures that concern one row. Other failures, such as a missing column, concern all rows. */
const rowClasses = new Set(['22', '23', '27', '38', '39', '44', '54', 'P0']);

/** The SQLSTATE that PostgreSQL raised; null: PostgreSQL did not raise the failure. */
export function sqlStateOf(error: unknown): string | null {
  const { code } = raisedBy(error);
  return isState(code) ? code : null;
}

/** The raw error of pg, also inside a TidegateError. Its fields may hold values: they are for programs only. */
export function raisedBy(error: unknown): {
  readonly code?: unknown;
  readonly column?: unknown;
  readonly where?: unknown;
} {
  let raw = error;
  while (raw instanceof TidegateError) raw = raw.cause;
  return typeof raw === 'object' && raw !== null ? raw : {};
}

/** Whether PostgreSQL refused a row because of its content. */
export function isRowRefusal(error: unknown): boolean {
  return rowClasses.has((sqlStateOf(error) ?? '').slice(0, 2));
}

function isState(code: unknown): code is string {
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && /\d/.test(code);
}

/** Classifies an error of pg by its SQLSTATE alone: the message, DETAIL and CONTEXT hold values. */
export function fromPostgres(error: unknown, { what, login = unknownLogin }: TargetErrorContext): TidegateError {
  if (error instanceof TidegateError) return error;
  const raw = (error as { code?: unknown } | null)?.code;
  const code = typeof raw === 'string' ? raw : '';
  const { kind, hint } = isState(raw) ? meaningOf(raw) : meaningWithoutState(error, code);
  return new TidegateError(kind, `target: ${what} failed: ${isState(raw) ? `SQLSTATE ${raw}` : inWords(code, kind)}`, {
    cause: error,
    ...(hint === undefined ? {} : { hint: typeof hint === 'string' ? hint : hint(login) }),
  });
}

const unknownLogin: Login = { role: '<TARGET_DB_USER>', database: '<TARGET_DB_NAME>' };

function inWords(code: string, kind: ErrorKind): string {
  if (code === '') return kind === 'internal' ? 'unexpected' : 'the connection broke';
  const cause = unreachableCause(code);
  return cause === undefined ? code : `${cause.words} (${code})`;
}

function meaningOf(state: string): Meaning {
  return byState[state] ?? byState[state.slice(0, 2)] ?? { kind: 'internal' };
}

/** The meaning of a failure that the server did not raise: the network, TLS, or a bug. */
function meaningWithoutState(error: unknown, code: string): Meaning {
  if (isCertificateCode(code)) return { kind: 'target-tls', hint: certificateHint('TARGET', code) };
  // pg reports a lost connection as a plain Error without a code. A TypeError and its like are bugs, and another try cannot
  // resolve them.
  const isLost =
    code === ''
      ? error instanceof Error && Object.getPrototypeOf(error) === Error.prototype
      : isNetworkError(error as { code?: unknown; syscall?: unknown });
  if (!isLost) return { kind: 'internal' };
  const cause = unreachableCause(code);
  return cause === undefined ? unreachable : { ...unreachable, hint: cause.hint('TARGET') };
}
