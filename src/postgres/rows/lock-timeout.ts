import { sql } from 'kysely';
import type { Reading } from '../session.ts';

/**
 * How long a write waits for a lock that another session holds on a table. Then that table is suspended, so that one locked table does not
 * hold up the others.
 */
const lockTimeout = '5s';

/** Limits the waits of a session whose writes concern one table at a time. */
export async function limitLockWaits(db: Reading): Promise<void> {
  await sql`select set_config('lock_timeout', ${lockTimeout}, false)`.execute(db);
}

/** Limits the waits of this transaction. */
export async function limitLockWaitsOf(trx: Reading): Promise<void> {
  await sql`select set_config('lock_timeout', ${lockTimeout}, true)`.execute(trx);
}
