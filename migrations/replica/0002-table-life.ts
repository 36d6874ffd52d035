import { type Kysely, sql } from 'kysely';

/**
 * Records which table at the target belongs to each replicated table, and when a suspended table returns. A table of version 0.1 is adopted
 * if the role owns it and it has every column of its newest definition. Any other object under a name belongs to somebody else. Tables
 * that are suspended already return ten minutes later, when the rest has caught up.
 */
export async function up(db: Kysely<unknown>, schema: string): Promise<void> {
  const target = schema.slice('tidegate_'.length);
  await sql`alter table ${sql.id(schema, 'tables')}
    add column table_oid oid,
    add column made_columns jsonb,
    add column failures integer not null default 0,
    add column retry_at timestamptz,
    add column decision text check (decision in ('confirm-deletions', 'correct-source', 'backfill'))`.execute(db);
  await sql`
    with newest as (
      select distinct on (table_name) table_name, definition from ${sql.id(schema, 'schema_versions')}
       order by table_name, version desc),
    wanted as (
      select table_name, c ->> 'name' as column_name from newest, jsonb_array_elements(definition -> 'columns') c
       where c -> 'rule' ->> 'kind' is distinct from 'omit'
      union all
      select table_name, '_loaded_at' from newest),
    made as (
      select w.table_name, r.oid as table_oid, jsonb_object_agg(w.column_name, a.attnum) as made_columns
        from wanted w
        join pg_namespace n on n.nspname = ${target}
        join pg_class r on r.relnamespace = n.oid and r.relname = w.table_name and r.relkind = 'r'
        join pg_roles o on o.oid = r.relowner and o.rolname = current_user
        left join pg_attribute a on a.attrelid = r.oid and a.attname = w.column_name and not a.attisdropped
       group by w.table_name, r.oid
      having bool_and(a.attnum is not null))
    update ${sql.id(schema, 'tables')} t
       set table_oid = made.table_oid, made_columns = made.made_columns
      from made where made.table_name = t.table_name`.execute(db);
  await sql`update ${sql.id(schema, 'tables')} set retry_at = now() + interval '10 minutes'
    where state = 'suspended'`.execute(db);
}
