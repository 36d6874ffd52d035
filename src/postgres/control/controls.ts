import { sql } from 'kysely';
import type { Target } from '../session.ts';
import { recordEvent, who } from './events.ts';

/** Whether the operator wants work to rest. */
export async function isPaused(db: Target, replica: string): Promise<boolean> {
  const row = await db
    .selectFrom('tidegate.controls')
    .select('paused')
    .where('replica', '=', replica)
    .executeTakeFirst();
  return row?.paused === true;
}

/** Tells whoever leads to rest, or to go on; it hears of it at the next renewal of its lease. To be called in a transaction. */
export async function setPaused(trx: Target, replica: string, paused: boolean): Promise<void> {
  const by = who();
  await trx
    .insertInto('tidegate.controls')
    .values({ replica, paused, changed_by: by })
    .onConflict((conflict) =>
      conflict.column('replica').doUpdateSet({ paused, changed_by: by, changed_at: sql`now()` }),
    )
    .execute();
  await recordEvent(trx, replica, paused ? 'paused' : 'resumed');
}
