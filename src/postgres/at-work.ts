import { sql } from 'kysely';
import type { TargetConfig } from '../config/config.ts';
import { TargetSession } from './session.ts';

/**
 * Whether the PostgreSQL process `backend` executes a statement or waits for a lock. False while it waits for its client, as a process
 * with a dead connection does. Raises when PostgreSQL cannot be reached.
 * (https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW)
 */
export async function isAtWork(target: TargetConfig, backend: number): Promise<boolean> {
  const session = await TargetSession.open(target);
  try {
    return await session.guarded(async () => {
      const { rows } = await sql`select 1 from pg_stat_activity
        where pid = ${backend} and state = 'active' and wait_event_type is distinct from 'Client'`.execute(session.db);
      return rows.length > 0;
    });
  } finally {
    await session.close();
  }
}
