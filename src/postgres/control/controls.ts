import { sql } from 'kysely';
import type { Target } from '../session.ts';
import { recordEvent, who } from './events.ts';

/** Whether the operator has paused the replica. */
export async function isPaused(db: Target): Promise<boolean> {
  const row = await db.selectFrom('controls').select('paused').executeTakeFirst();
  return row?.paused === true;
}

/** Pauses or resumes the lease holder, which reads this at the next renewal of its lease. Call it in a transaction. */
export async function setPaused(trx: Target, paused: boolean): Promise<void> {
  const by = who();
  await trx
    .insertInto('controls')
    .values({ paused, changed_by: by })
    .onConflict((conflict) =>
      conflict.column('singleton').doUpdateSet({ paused, changed_by: by, changed_at: sql`now()` }),
    )
    .execute();
  await recordEvent(trx, paused ? 'paused' : 'resumed');
}
