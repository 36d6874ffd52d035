import { type Kysely, sql } from 'kysely';

/** One server has many databases: which one a replica is of. Null: begun before this was kept; it is filled in at the next start. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table tidegate.checkpoint add column source_database text`.execute(db);
}
