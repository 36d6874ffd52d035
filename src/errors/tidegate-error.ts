import { errorKinds, type ErrorAction, type ErrorKind } from './error-kinds.ts';

/**
 * A failure that Tidegate raises on purpose. The message names tables, columns, positions and counts. It never holds a row value,
 * a secret, or SQL text with literals. `hint` names the next step of the operator.
 */
export class TidegateError extends Error {
  override readonly name = 'TidegateError';
  readonly kind: ErrorKind;
  readonly hint: string;
  /** The only table that the failure concerns. If this table is suspended, the others can continue. */
  readonly table: string | undefined;
  /** The position in the binlog of what could not be read. */
  readonly position: string | undefined;

  constructor(
    kind: ErrorKind,
    message: string,
    options: { hint?: string; cause?: unknown; table?: string; position?: string } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.hint = options.hint ?? errorKinds[kind].hint;
    this.table = options.table;
    this.position = options.position;
  }

  /** Returns the same failure, bound to this table. */
  about(table: string): TidegateError {
    return new TidegateError(this.kind, `table ${table}: ${this.message}`, {
      hint: this.hint,
      cause: this.cause,
      table,
    });
  }

  /** Why a table is suspended: the message, and the next step if it is known better than for the kind. */
  get reason(): string {
    return this.hint === errorKinds[this.kind].hint ? this.message : `${this.message}. ${this.hint}`;
  }

  /** What a supervisor does: retry by itself, or stop and wait for a person. */
  get action(): ErrorAction {
    return errorKinds[this.kind].action;
  }
}
