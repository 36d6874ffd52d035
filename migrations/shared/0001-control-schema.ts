import { type Kysely, sql } from 'kysely';

/** The control schema as of version 0.1. Statements are spelled out, so that a migration never changes with the code. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`create table tidegate.checkpoint (
      replica text primary key,
      file text not null,
      "offset" bigint not null,
      gtid text,
      committed_at timestamptz,
      applied_at timestamptz not null,
      lease_epoch bigint not null,
      source_identity text not null
    )`,
    sql`create table tidegate.lease (
      replica text primary key,
      epoch bigint not null,
      holder text not null,
      backend_pid integer not null,
      backend_start timestamptz not null,
      expires_at timestamptz not null
    )`,
    sql`create table tidegate.tables (
      replica text not null,
      table_name text not null,
      state text not null check (state in ('pending', 'snapshotting', 'streaming', 'parked')),
      reason text,
      from_file text,
      from_offset bigint,
      until_file text,
      until_offset bigint,
      copied_key jsonb,
      copied_rows bigint not null default 0,
      updated_at timestamptz not null,
      primary key (replica, table_name)
    )`,
    sql`create table tidegate.schema_versions (
      replica text not null,
      table_name text not null,
      version integer not null,
      from_file text not null,
      from_offset bigint not null,
      definition jsonb not null,
      primary key (replica, table_name, version)
    )`,
    sql`create table tidegate.conversions (
      replica text not null,
      table_name text not null,
      column_name text not null,
      kind text not null,
      count bigint not null,
      primary key (replica, table_name, column_name, kind)
    )`,
    sql`create table tidegate.status (
      replica text primary key,
      state text not null,
      updated_at timestamptz not null,
      detail jsonb not null
    )`,
    sql`create table tidegate.events (
      id bigint generated always as identity primary key,
      replica text not null,
      at timestamptz not null default now(),
      kind text not null,
      detail jsonb not null
    )`,
    sql`create index events_by_time on tidegate.events (replica, at)`,
  ];
  for (const statement of statements) await statement.execute(db);
}
