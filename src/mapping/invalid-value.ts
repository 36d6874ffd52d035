/**
 * A value that its column's mapping cannot represent: its row is bad, the rows around it are not. `reason` names columns and
 * types, never the value.
 */
export class InvalidValue extends Error {
  override readonly name = 'InvalidValue';
  readonly reason: string;

  constructor(reason: string) {
    super(reason);
    this.reason = reason;
  }
}
