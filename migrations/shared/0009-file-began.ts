import { type Kysely, sql } from 'kysely';

/** What tells a binlog file from another one of the same name, in seconds since 1970. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table tidegate.checkpoint add column file_began bigint`.execute(db);
}
