/**
 * A stored value that is none of its column's type, or that cannot be carried exactly: its row becomes a dead letter. `reason`
 * says what is wrong and never the value.
 */
export class InvalidValue extends Error {
  override readonly name = 'InvalidValue';
  readonly reason: string;
  /** The column, once the reader of the row knows which one it was at. */
  column: string | null = null;

  constructor(reason: string) {
    super(reason);
    this.reason = reason;
  }
}
