import { errorKinds, type ErrorAction, type ErrorKind } from './kinds.ts';

/**
 * Every failure Tidegate raises on purpose. The message names tables, columns, positions and counts, never a row value, a
 * secret, or SQL text with literals; `hint` says what the operator does next.
 */
export class TidegateError extends Error {
  override readonly name = 'TidegateError';
  readonly kind: ErrorKind;
  readonly hint: string;

  constructor(kind: ErrorKind, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.hint = options.hint ?? errorKinds[kind].hint;
  }

  /** What a supervisor does about it: try again by itself, or stop and wait for a person. */
  get action(): ErrorAction {
    return errorKinds[this.kind].action;
  }
}
