import { type Kysely, sql } from 'kysely';

/** Tables without a key, which are copied as a whole again and again. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`alter table tidegate.tables drop constraint tables_state_check`,
    sql`alter table tidegate.tables add constraint tables_state_check
      check (state in ('pending', 'snapshotting', 'backfilling', 'streaming', 'refreshed', 'parked'))`,
    sql`alter table tidegate.jobs drop constraint jobs_kind_check`,
    sql`alter table tidegate.jobs add constraint jobs_kind_check check (kind in ('backfill', 'verify', 'refresh'))`,
  ];
  for (const statement of statements) await statement.execute(db);
}
