import { sql } from 'kysely';
import { schedule } from './jobs.ts';
import type { Fenced } from './writing.ts';

/**
 * Requests the scheduled verification that is due, if any. It is due for the table with the oldest verification, if that is `hours` old.
 * Tables are verified one at a time, spread over `hours`. Ended scheduled verifications are deleted after a month if the table has a
 * later one.
 */
export async function requestDueVerification(trx: Fenced, tables: readonly string[], hours: number): Promise<void> {
  if (tables.length === 0) return;
  await sql`
    with last as (
      select t.name, max(j.requested_at) as at, bool_or(j.state in ('waiting', 'running')) as open
        from unnest(${tables}::text[]) t(name)
        left join ${sql.table('jobs')} j
          on j.table_name = t.name and j.kind = 'verify' and j.condition is null
       group by t.name),
    due as (
      select name from last
       where (at is null or at < now() - make_interval(hours => ${hours}))
         and not exists (select from last where open)
         and coalesce((select max(requested_at) from ${sql.table('jobs')} where requested_by = ${schedule}), '-infinity')
             < now() - make_interval(hours => ${hours}) / ${tables.length}
       order by at nulls first, name limit 1)
    insert into ${sql.table('jobs')} (table_name, kind, repair, confirmed, state, requested_by)
    select name, 'verify', false, false, 'waiting', ${schedule} from due`.execute(trx);
  await sql`
    delete from ${sql.table('jobs')} j
     where requested_by = ${schedule} and finished_at < now() - interval '1 month'
       and exists (select from ${sql.table('jobs')} later
                    where later.table_name = j.table_name and later.kind = j.kind
                      and later.state = 'done' and later.id > j.id)`.execute(trx);
}

/** Requests a refresh of each table whose last refresh, done or failed, is at least `minutes` old. */
export async function requestDueRefreshes(trx: Fenced, tables: readonly string[], minutes: number): Promise<void> {
  if (tables.length === 0) return;
  await sql`
    insert into ${sql.table('jobs')} (table_name, kind, repair, confirmed, state, requested_by)
    select t.name, 'refresh', true, false, 'waiting', ${schedule} from unnest(${tables}::text[]) t(name)
     where not exists (
       select from ${sql.table('jobs')} j
        where j.table_name = t.name and j.kind = 'refresh'
          and (j.state in ('waiting', 'running') or j.finished_at > now() - make_interval(mins => ${minutes})))`.execute(
    trx,
  );
  await sql`
    delete from ${sql.table('jobs')} j
     where kind = 'refresh' and finished_at < now() - interval '1 day'
       and exists (select from ${sql.table('jobs')} later
                    where later.table_name = j.table_name and later.kind = 'refresh'
                      and later.finished_at is not null and later.id > j.id)`.execute(trx);
}
