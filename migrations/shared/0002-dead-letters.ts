import { type Kysely, sql } from 'kysely';

/** Rows that cannot be carried are kept here instead of stopping their table. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table tidegate.dead_letters (
    id bigint generated always as identity primary key,
    replica text not null,
    table_name text not null,
    key bytea not null,
    file text,
    "offset" bigint,
    at timestamptz not null default now(),
    reason text not null,
    column_name text,
    sqlstate text,
    row bytea not null,
    format text not null check (format in ('copy', 'image', 'packet'))
  )`.execute(db);
  // By a digest, because a key may be longer than an index entry can be.
  await sql`create unique index dead_letters_by_key on tidegate.dead_letters (replica, table_name, sha256(key))`.execute(
    db,
  );
}
