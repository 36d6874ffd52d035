import { isNamedForMysqlOnly } from './mysql-errors.ts';
import { TidegateError } from './tidegate-error.ts';

/** The part of an error that may be shown outside the two databases. */
export interface ErrorDescription {
  readonly kind: string;
  readonly message: string;
  readonly hint?: string;
  /** Driver code, errno or SQLSTATE of the cause. */
  readonly code?: string;
  readonly stack?: string;
}

/**
 * Every error reaches a log or a screen through this function. Messages of TidegateError are safe by construction. Messages of
 * drivers may hold statements, values and passwords (pg's DETAIL, mysql2's sqlMessage). A foreign error is therefore described by
 * its class, its code and its stack frames only.
 */
export function describeError(error: unknown): ErrorDescription {
  if (error instanceof TidegateError) {
    const code = codeOf(error.cause);
    // An internal error is a bug. It arose in the cause, not in the error that wraps it.
    const origin = error.kind === 'internal' ? (error.cause instanceof Error ? error.cause : error) : undefined;
    return {
      kind: error.kind,
      message: error.message,
      hint: error.hint,
      ...(code === undefined ? {} : { code }),
      ...(origin === undefined ? {} : { stack: framesOf(origin) }),
    };
  }
  const code = codeOf(error);
  const foreign = error instanceof Error ? error : undefined;
  return {
    kind: 'internal',
    message: `unexpected ${foreign?.constructor.name ?? typeof error}`,
    hint: 'Report this with the log.',
    ...(code === undefined ? {} : { code }),
    ...(foreign === undefined ? {} : { stack: framesOf(foreign) }),
  };
}

function codeOf(error: unknown): string | undefined {
  const { code, errno } = (error ?? {}) as { code?: unknown; errno?: unknown };
  if (isNamedForMysqlOnly(errno)) return String(errno);
  return typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? code : undefined;
}

/**
 * Returns the stack frames alone. A stack starts with the message, and lines of a quoted multi-line text may look like frames.
 * Only lines after the message count. The result is empty if the stack does not contain the message.
 */
function framesOf({ stack = '', message }: Error): string {
  const at = stack.indexOf(message);
  // Only the class name precedes the message. A line end there means that the stack has an older message.
  if (at === -1 || stack.slice(0, at).includes('\n')) return '';
  const frames = stack
    .slice(at + message.length)
    .split('\n')
    .filter((line) => /^\s+at /.test(line));
  return frames.slice(0, 8).join('\n');
}
