/** One result of a check. An `error` keeps `run` from starting. */
export interface Finding {
  readonly level: 'ok' | 'warning' | 'error';
  /** What was looked at: 'source settings', 'reader grants', 'table patient' … */
  readonly subject: string;
  readonly message: string;
  /** The kind of failure, where one was met: 'source-login', 'position-lost' … */
  readonly kind?: string;
  /** The exact line that repairs it: SQL, a line for my.ini, or a setting of ours. */
  readonly remedy?: string;
}
