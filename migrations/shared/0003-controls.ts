import { type Kysely, sql } from 'kysely';

/** What an operator tells a running service. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table tidegate.controls (
    replica text primary key,
    paused boolean not null,
    changed_by text not null,
    changed_at timestamptz not null default now()
  )`.execute(db);
}
