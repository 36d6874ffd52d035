/** One result of a check. An `error` keeps `run` from starting. */
export interface Finding {
  readonly level: 'ok' | 'warning' | 'error';
  /** What was checked: 'source settings', 'reader grants', 'table patient' … */
  readonly subject: string;
  readonly message: string;
  /** The error kind, if the check met a failure: 'source-login', 'position-lost' … */
  readonly kind?: string;
  /** The exact line that fixes it: SQL, a line for my.ini, or a setting of Tidegate. */
  readonly remedy?: string;
}
