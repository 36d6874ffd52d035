import { isNamedForMysqlOnly } from './mysql-errors.ts';
import { TidegateError } from './tidegate-error.ts';

/** What may be said of an error outside the two databases. */
export interface ErrorDescription {
  readonly kind: string;
  readonly message: string;
  readonly hint?: string;
  /** Driver code, errno or SQLSTATE of what lies beneath. */
  readonly code?: string;
  readonly stack?: string;
}

/**
 * The only way an error gets into a log or onto a screen. Messages of our own are safe by construction; those of drivers may
 * carry statements, values and passwords (pg's DETAIL, mysql2's sqlMessage), so of foreign errors only the class, the code and
 * where in the program they arose are told.
 */
export function describeError(error: unknown): ErrorDescription {
  if (error instanceof TidegateError) {
    const code = codeOf(error.cause);
    // A mistake of ours is looked for where it arose, beneath what wrapped it.
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
 * Frames alone. A stack begins with the message, whose own lines may look like frames when it quotes a text of many lines, so
 * only what follows the message counts; where it cannot be found, nothing does.
 */
function framesOf({ stack = '', message }: Error): string {
  const at = stack.indexOf(message);
  // Before it stands the class alone; a line end there means that this is an older message's stack.
  if (at === -1 || stack.slice(0, at).includes('\n')) return '';
  const frames = stack
    .slice(at + message.length)
    .split('\n')
    .filter((line) => /^\s+at /.test(line));
  return frames.slice(0, 8).join('\n');
}
