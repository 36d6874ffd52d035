import { type Kysely, sql } from 'kysely';

/** Tables that are not selected any more: nothing is done with them, and they stay at the target as they are. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`alter table tidegate.tables drop constraint tables_state_check`,
    sql`alter table tidegate.tables add constraint tables_state_check
      check (state in ('pending', 'snapshotting', 'backfilling', 'streaming', 'refreshed', 'parked', 'released'))`,
  ];
  for (const statement of statements) await statement.execute(db);
}
