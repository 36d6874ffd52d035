import { type Kysely, sql } from 'kysely';

/** Keeps the groups by which the source proves its history, and the refusal of a source that could not. */
export async function up(db: Kysely<unknown>, schema: string): Promise<void> {
  await sql`alter table ${sql.id(schema, 'checkpoint')} add column witnesses jsonb`.execute(db);
  await sql`create table ${sql.id(schema, 'refusal')} (
    singleton boolean primary key default true check (singleton),
    reason text not null,
    source_identity text not null,
    at timestamptz not null default now()
  )`.execute(db);
}
