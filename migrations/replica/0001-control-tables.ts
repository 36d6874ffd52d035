import { type Kysely, sql } from 'kysely';

/**
 * Creates the control tables of one replica in the existing schema `schema`. A table with one row has a column that can only be true.
 * Statements are literal, so a migration never changes with the code.
 */
export async function up(db: Kysely<unknown>, schema: string): Promise<void> {
  const table = (name: string) => sql.id(schema, name);
  const oneRow = sql`singleton boolean primary key default true check (singleton)`;
  const statements = [
    sql`create table ${table('checkpoint')} (
      ${oneRow},
      file text not null,
      "offset" bigint not null,
      gtid text,
      file_began bigint,
      committed_at timestamptz,
      applied_at timestamptz not null,
      lease_epoch bigint not null,
      source_identity text not null,
      source_database text
    )`,
    sql`create table ${table('lease')} (
      ${oneRow},
      epoch bigint not null,
      holder text not null,
      backend_pid integer not null,
      backend_start timestamptz not null,
      expires_at timestamptz not null
    )`,
    sql`create table ${table('tables')} (
      table_name text primary key,
      state text not null check (state in ('snapshotting', 'backfilling', 'streaming', 'full-refresh', 'suspended', 'excluded', 'gone')),
      reason text,
      from_file text,
      from_offset bigint,
      until_file text,
      until_offset bigint,
      copied_key jsonb,
      copied_rows bigint not null default 0,
      updated_at timestamptz not null
    )`,
    sql`create table ${table('schema_versions')} (
      table_name text not null,
      version integer not null,
      from_file text not null,
      from_offset bigint not null,
      definition jsonb not null,
      primary key (table_name, version)
    )`,
    sql`create table ${table('conversions')} (
      table_name text not null,
      column_name text not null,
      kind text not null,
      count bigint not null,
      primary key (table_name, column_name, kind)
    )`,
    sql`create table ${table('dead_letters')} (
      id bigint generated always as identity primary key,
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
    )`,
    // The index uses a digest, because a key may be longer than an index entry can be.
    sql`create unique index dead_letters_by_key on ${table('dead_letters')} (table_name, sha256(key))`,
    sql`create table ${table('controls')} (
      ${oneRow},
      paused boolean not null,
      changed_by text not null,
      changed_at timestamptz not null default now()
    )`,
    sql`create table ${table('jobs')} (
      id bigint generated always as identity primary key,
      table_name text not null,
      kind text not null check (kind in ('backfill', 'verify', 'refresh')),
      repair boolean not null,
      condition text,
      confirmed boolean not null,
      state text not null check (state in ('waiting', 'running', 'done', 'failed', 'cancelled')),
      reason text,
      unconfirmed boolean not null default false,
      progress jsonb,
      estimated_rows bigint not null default 0,
      rows bigint not null default 0,
      missing bigint not null default 0,
      extra bigint not null default 0,
      different bigint not null default 0,
      changing bigint not null default 0,
      rejected bigint not null default 0,
      repaired bigint not null default 0,
      examples jsonb not null default '[]',
      requested_by text not null,
      requested_at timestamptz not null default now(),
      started_at timestamptz,
      finished_at timestamptz,
      updated_at timestamptz not null default now()
    )`,
    sql`create index jobs_by_table on ${table('jobs')} (table_name, id)`,
    sql`create index jobs_unfinished on ${table('jobs')} (id) where state in ('waiting', 'running')`,
    sql`create table ${table('status')} (
      ${oneRow},
      state text not null,
      updated_at timestamptz not null,
      detail jsonb not null
    )`,
    sql`create table ${table('events')} (
      id bigint generated always as identity primary key,
      at timestamptz not null default now(),
      kind text not null,
      detail jsonb not null
    )`,
    sql`create function ${table('refuse_change')}() returns trigger language plpgsql as $$
      begin raise exception 'the audit is append-only' using errcode = '42501'; end $$`,
    // The owner is refused, too. Dropping the trigger is a deliberate act.
    sql`create trigger append_only before update or delete or truncate on ${table('events')}
      for each statement execute function ${table('refuse_change')}()`,
  ];
  for (const statement of statements) await statement.execute(db);
}
