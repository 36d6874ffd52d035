import { type Kysely, sql } from 'kysely';

/** Keeps which tables of the source are left out, for those who ask without the source's catalog. */
export async function up(db: Kysely<unknown>, schema: string): Promise<void> {
  await sql`create table ${sql.id(schema, 'left_out')} (
    singleton boolean primary key default true check (singleton),
    groups jsonb not null
  )`.execute(db);
}
