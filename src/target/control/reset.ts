import { sql } from 'kysely';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { ControlSchema } from './control-schema.ts';
import { type Confirmation, recordEvent } from './events.ts';
import { hasControlTable } from './migrate.ts';
import type { TargetSession } from '../session.ts';

/** Every control table that speaks of one replica. The audit stays, and the lease, whose epochs must never come again. */
const stateTables = [
  'tidegate.checkpoint',
  'tidegate.tables',
  'tidegate.schema_versions',
  'tidegate.conversions',
  'tidegate.dead_letters',
  'tidegate.jobs',
  'tidegate.controls',
  'tidegate.status',
] as const satisfies (keyof ControlSchema)[];

/** The tables Tidegate made in a target schema; none when it was never there. */
export async function replicaTables(session: TargetSession, replica: string): Promise<string[]> {
  return await session.guarded(async () => {
    if (!(await hasControlTable(session.db, 'tidegate.tables'))) return [];
    const rows = await session.db
      .selectFrom('tidegate.tables')
      .select('table_name')
      .where('replica', '=', replica)
      .orderBy('table_name')
      .execute();
    return rows.map(({ table_name }) => table_name);
  });
}

/**
 * Drops those tables and all state of the replica, in one transaction. A table that a view depends on is not dropped, and
 * then nothing is: PostgreSQL's refusal is the answer. Raises refused while a service holds the lease.
 */
export async function resetReplica(
  session: TargetSession,
  replica: string,
  tables: readonly string[],
  confirmed: Confirmation,
): Promise<void> {
  await session.transaction(async (trx) => {
    const held = await sql<{ holder: string }>`
      select holder from tidegate.lease l where replica = ${replica} and expires_at > now()
         and exists (select from pg_stat_activity a where a.pid = l.backend_pid and a.backend_start = l.backend_start)
         for update`.execute(trx);
    const [lease] = held.rows;
    if (lease !== undefined)
      throw new TidegateError('refused', `the service on ${lease.holder} is running`, {
        hint: 'Stop it first; a reset under its hands would be undone.',
      });
    for (const table of tables) await sql`drop table if exists ${sql.id(replica, table)}`.execute(trx);
    for (const table of stateTables) await trx.deleteFrom(table).where('replica', '=', replica).execute();
    await recordEvent(trx, replica, 'reset', { tables: tables.length, confirmed });
  });
}
