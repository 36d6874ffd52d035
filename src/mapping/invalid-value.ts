/**
 * A stored value that is invalid for its column's type or cannot be copied exactly. Its row becomes a dead letter. `reason`
 * describes the fault and never holds the value.
 */
export class InvalidValue extends Error {
  override readonly name = 'InvalidValue';
  readonly reason: string;
  /** The column at fault; the reader of the row sets it. */
  column: string | null = null;

  constructor(reason: string) {
    super(reason);
    this.reason = reason;
  }
}
