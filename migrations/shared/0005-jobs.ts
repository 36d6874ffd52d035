import { type Kysely, sql } from 'kysely';

/** Tables that are read again while they stream, and how far that is. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`create table tidegate.jobs (
      id bigint generated always as identity primary key,
      replica text not null,
      table_name text not null,
      kind text not null check (kind in ('backfill', 'verify')),
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
    sql`create index jobs_by_table on tidegate.jobs (replica, table_name, id)`,
    sql`create index jobs_unfinished on tidegate.jobs (replica) where state in ('waiting', 'running')`,
    sql`alter table tidegate.tables drop constraint tables_state_check`,
    sql`alter table tidegate.tables add constraint tables_state_check
      check (state in ('pending', 'snapshotting', 'backfilling', 'streaming', 'parked'))`,
  ];
  for (const statement of statements) await statement.execute(db);
}
