import { errorKinds, type ErrorAction, type ErrorKind } from './error-kinds.ts';

/**
 * Every failure Tidegate raises on purpose. The message names tables, columns, positions and counts, never a row value, a
 * secret, or SQL text with literals; `hint` says what the operator does next.
 */
export class TidegateError extends Error {
  override readonly name = 'TidegateError';
  readonly kind: ErrorKind;
  readonly hint: string;
  /** The one table the failure is about, where suspending it lets the others go on. */
  readonly table: string | undefined;

  constructor(kind: ErrorKind, message: string, options: { hint?: string; cause?: unknown; table?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.hint = options.hint ?? errorKinds[kind].hint;
    this.table = options.table;
  }

  /** The same failure, known to be about this table. */
  about(table: string): TidegateError {
    return new TidegateError(this.kind, `table ${table}: ${this.message}`, {
      hint: this.hint,
      cause: this.cause,
      table,
    });
  }

  /** What a supervisor does about it: try again by itself, or stop and wait for a person. */
  get action(): ErrorAction {
    return errorKinds[this.kind].action;
  }
}
