import { type Kysely, sql } from 'kysely';

/** What was written down stays: also its owner is refused, unless the trigger is taken away first, which nobody does by accident. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create function tidegate.refuse_change() returns trigger language plpgsql as $$
    begin raise exception 'tidegate.events is append-only' using errcode = '42501'; end $$`.execute(db);
  await sql`create trigger append_only before update or delete or truncate on tidegate.events
    for each statement execute function tidegate.refuse_change()`.execute(db);
}
