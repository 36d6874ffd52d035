import { sqlStateOf } from '../errors/postgres-errors.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import type { Decision } from '../postgres/control/control-schema.ts';

/** Why a table is suspended, and the decision that it waits for; null: it returns by itself. */
export interface Suspension {
  readonly reason: string;
  readonly decision: Decision | null;
}

/** SQLSTATE lock_not_available: another session holds the lock for longer than a write of the stream waits. */
const lockTimedOut = '55P03';

/**
 * The suspension that follows from a failure of one table, so that the other tables continue. Null: the failure concerns more than that
 * table, or another try resolves it.
 */
export function suspensionOf(error: unknown): Suspension | null {
  if (!(error instanceof TidegateError)) return null;
  const { kind, message, hint, reason } = error;
  switch (kind) {
    case 'source-table':
      return { reason: `${message}. ${hint}`, decision: null };
    case 'target-refused':
    case 'target-foreign':
    case 'target-privilege':
      return { reason, decision: null };
    case 'unconfirmed':
      return { reason: message, decision: 'confirm-deletions' };
    case 'target-busy':
      return sqlStateOf(error) === lockTimedOut
        ? { reason: 'another session at the target holds a lock on it', decision: null }
        : null;
    default:
      return null;
  }
}
