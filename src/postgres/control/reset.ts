import { sql } from 'kysely';
import type { TargetConfig } from '../../config/config.ts';
import { sqlStateOf } from '../../errors/postgres-errors.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { Scope } from '../../lifetime/scope.ts';
import type { ControlSchema } from './control-schema.ts';
import { type Confirmation, recordEvent } from './events.ts';
import { hasControlTable } from './migrate.ts';
import { type Standing, notOurs, readStandings } from '../rows/standing.ts';
import type { TargetSession } from '../session.ts';
import { Fence } from './fence.ts';
import { Lease } from './lease.ts';
import type { Fenced } from './writing.ts';

/** The control tables that a reset empties. The audit stays. The lease stays as well, because its epochs must never repeat. */
const stateTables = [
  'checkpoint',
  'tables',
  'schema_versions',
  'conversions',
  'dead_letters',
  'jobs',
  'controls',
  'status',
  'refusal',
  'left_out',
] as const satisfies (keyof ControlSchema)[];

/** The tables of a replica. Null: there is no replica. */
export interface ReplicaTables {
  /** Those that Tidegate created and that are still there. */
  readonly ours: readonly string[];
  /** Those with an object of somebody else under their name at the target, which stays. */
  readonly foreign: readonly string[];
}

export async function replicaTables({ db, targetSchema }: TargetSession): Promise<ReplicaTables | null> {
  if (!(await hasControlTable(db, 'tables'))) return null;
  const rows = await db.selectFrom('tables').select('table_name').orderBy('table_name').execute();
  if (rows.length === 0) return null;
  const names = rows.map(({ table_name }) => table_name);
  const standings = await readStandings(db, targetSchema, names);
  const are = (...kinds: Standing['kind'][]) =>
    names.filter((name) => kinds.includes(standings.get(name)?.kind ?? 'free'));
  return { ours: are('ours', 'closed'), foreign: are('foreign') };
}

/**
 * Drops these tables and all state of the replica, in one transaction. If a view depends on a table, nothing is dropped: raises
 * target-refused, which names both. Raises refused while a service holds the lease.
 */
export async function resetReplica(
  scope: Scope,
  target: TargetConfig,
  tables: readonly string[],
  confirmed: Confirmation,
): Promise<void> {
  const replica = target.schema;
  const lease = await Lease.acquire(scope, target, 'Stop it first. A running service would undo the reset.');
  const fence = await Fence.open(scope, target, 'lead', lease.epoch);
  const reset = async (trx: Fenced) => {
    // Under the lock nobody can exchange a table before it is dropped.
    if (tables.length > 0)
      await sql`lock table ${sql.join(tables.map((table) => sql.id(replica, table)))} in access exclusive mode`.execute(
        trx,
      );
    for (const [table, { kind }] of await readStandings(trx, replica, tables))
      if (kind !== 'ours' && kind !== 'closed') throw notOurs(replica, table);
    for (const table of tables) await sql`drop table ${sql.id(replica, table)}`.execute(trx);
    for (const table of stateTables) await trx.deleteFrom(table).execute();
    await recordEvent(trx, 'reset', { tables: tables.length, confirmed });
  };
  try {
    await fence.transaction(reset);
  } catch (error) {
    throw sqlStateOf(error) === dependentObjects ? await dependedUpon(fence.session, replica, tables, error) : error;
  } finally {
    await lease.release();
  }
}

/** SQLSTATE dependent_objects_still_exist. */
const dependentObjects = '2BP01';

/**
 * What depends on the tables, as PostgreSQL describes it: `view reports.visits`. In pg_depend, the dependent object of a view is its
 * rewrite rule.
 */
async function dependedUpon(
  session: TargetSession,
  replica: string,
  tables: readonly string[],
  cause: unknown,
): Promise<TidegateError> {
  const { rows } = await sql<{ table: string; dependent: string }>`
        select distinct t.relname as table,
               case when v.oid is null then pg_describe_object(d.classid, d.objid, d.objsubid)
                    else pg_describe_object('pg_class'::regclass, v.oid, 0) end as dependent
          from pg_class t
          join pg_namespace n on n.oid = t.relnamespace
          join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = t.oid and d.deptype = 'n'
          left join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
          left join pg_class v on v.oid = r.ev_class
         where n.nspname = ${replica} and t.relname = any(${tables})
           and v.oid is distinct from t.oid
         order by 1, 2`.execute(session.db);
  const named = rows.map(({ table, dependent }) => `table ${table}: ${dependent}`);
  return new TidegateError(
    'target-refused',
    `nothing was dropped, because something at the target depends on ${named.length === 0 ? 'a table' : `these tables: ${named.join('; ')}`}`,
    {
      cause,
      hint: 'Drop it first and create it again after the next run. Or keep it: `tidegate resync` reads every table again in place and drops nothing.',
    },
  );
}
