import { type Kysely, sql } from 'kysely';
import { up as controlTables } from '../replica/0001-control-tables.ts';

/** PostgreSQL truncates longer names (NAMEDATALEN), so two names could become one schema. */
const longestNameBytes = 63;

/** The migration cannot run now. It has changed nothing. */
export class CannotMoveReplicas extends Error {
  override readonly name = 'CannotMoveReplicas';
  readonly remedy: string;

  constructor(message: string, remedy: string) {
    super(message);
    this.remedy = remedy;
  }
}

/** The control tables of 0.1, with the columns that they share with those of a replica. */
const tables = {
  checkpoint:
    'file, "offset", gtid, file_began, committed_at, applied_at, lease_epoch, source_identity, source_database',
  lease: 'epoch, holder, backend_pid, backend_start, expires_at',
  tables:
    'table_name, state, reason, from_file, from_offset, until_file, until_offset, copied_key, copied_rows, updated_at',
  schema_versions: 'table_name, version, from_file, from_offset, definition',
  conversions: 'table_name, column_name, kind, count',
  dead_letters: 'id, table_name, key, file, "offset", at, reason, column_name, sqlstate, row, format',
  controls: 'paused, changed_by, changed_at',
  jobs:
    'id, table_name, kind, repair, condition, confirmed, state, reason, unconfirmed, progress, estimated_rows, rows, missing, extra, ' +
    'different, changing, rejected, repaired, examples, requested_by, requested_at, started_at, finished_at, updated_at',
  status: 'state, updated_at, detail',
  events: 'id, at, kind, detail',
} as const;
const withIdentity = ['dead_letters', 'jobs', 'events'] as const;

/** Expressions for columns with values that this version renamed, by table and column. */
const renamed: Readonly<Record<string, string>> = {
  'tables.state': `case state when 'parked' then 'suspended' when 'released' then 'excluded' when 'refreshed' then 'full-refresh'
    when 'pending' then 'snapshotting' else state end`,
  'events.kind': `case kind when 'table-parked' then 'table-suspended' when 'table-released' then 'table-excluded'
    when 'table-taken-back' then 'table-resumed' else kind end`,
};

/**
 * Moves every replica of version 0.1 from the shared tables into a schema of its own, `tidegate_<target schema>`. Raises
 * CannotMoveReplicas while a service of 0.1 runs, if a schema cannot have that name, and if a view depends on the shared tables.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const old = (name: string) => sql.id('tidegate', name);
  // The lock would stop a running service at work, so the service is refused before the lock. Another may start meanwhile.
  await assertNoneRuns(db);
  await sql`lock table ${sql.join(Object.keys(tables).map(old))} in access exclusive mode`.execute(db);
  await assertNoneRuns(db);
  await assertNoViews(db);
  const { rows: replicas } = await sql<{ replica: string; hasTables: boolean }>`
    select replica, replica in (select replica from tidegate.tables) as "hasTables" from (${sql.join(
      Object.keys(tables).map((name) => sql`select replica from ${old(name)}`),
      sql` union `,
    )}) known order by 1`.execute(db);
  for (const { replica, hasTables } of replicas) {
    const refusal = nameRefusal(replica);
    // After a reset, only its audit and its lease are left.
    if (refusal !== null && !hasTables) continue;
    if (refusal !== null) throw refusal;
    await moveReplica(db, replica);
  }
  await sql`drop table ${sql.join(Object.keys(tables).map(old))}`.execute(db);
  await sql`drop function tidegate.refuse_change()`.execute(db);
}

async function assertNoneRuns(db: Kysely<unknown>): Promise<void> {
  const { rows: running } = await sql<{ replica: string; holder: string }>`
    select replica, holder from tidegate.lease l where expires_at > now()
       and exists (select from pg_stat_activity a where a.pid = l.backend_pid and a.backend_start = l.backend_start)
     order by 1`.execute(db);
  if (running.length > 0)
    throw new CannotMoveReplicas(
      `services of Tidegate 0.1 are running on this database: ${running.map(({ replica, holder }) => `schema ${replica} on ${holder}`).join(', ')}`,
      'Stop all of them, then start one service of this version. It moves all replicas of the database at once.',
    );
}

/** Why no service of this version can have this target schema; null if one can. */
function nameRefusal(replica: string): CannotMoveReplicas | null {
  const remedy =
    'Drop the replica with `tidegate reset` of version 0.1, then copy it again into a schema with another name. Its audit stays in the backup only.';
  if (Buffer.byteLength(schemaOf(replica)) > longestNameBytes)
    return new CannotMoveReplicas(
      `the target schema ${replica} has a longer name than ${longestNameBytes - schemaOf('').length} bytes`,
      remedy,
    );
  if (replica.toLowerCase().startsWith(schemaOf('')))
    return new CannotMoveReplicas(
      `the target schema ${replica} has a name that is reserved for control schemas`,
      remedy,
    );
  return null;
}

function schemaOf(replica: string): string {
  return `tidegate_${replica}`;
}

/** In pg_depend, the dependent object of a view is its rewrite rule. */
async function assertNoViews(db: Kysely<unknown>): Promise<void> {
  const { rows: views } = await sql<{ name: string }>`
    select distinct pg_describe_object('pg_class'::regclass, r.ev_class, 0) as name
      from pg_depend d
      join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
      join pg_class t on d.refclassid = 'pg_class'::regclass and d.refobjid = t.oid
     where t.relnamespace = 'tidegate'::regnamespace and r.ev_class <> t.oid
     order by 1`.execute(db);
  if (views.length > 0)
    throw new CannotMoveReplicas(
      `the control tables of version 0.1 are in use by ${views.map(({ name }) => name).join(', ')}`,
      'Save its SQL and drop it. Create it again after the first run, on the tables of the new control schemas.',
    );
}

async function moveReplica(db: Kysely<unknown>, replica: string): Promise<void> {
  const schema = schemaOf(replica);
  if (await exists(db, schema))
    throw new CannotMoveReplicas(
      `a schema ${schema} already exists, and Tidegate did not create it`,
      `Rename it: alter schema "${schema}" rename to …;`,
    );
  await sql`create schema ${sql.id(schema)}`.execute(db);
  await controlTables(db, schema);
  for (const [name, columns] of Object.entries(tables)) {
    const values = columns.split(', ').map((column) => renamed[`${name}.${column}`] ?? column);
    await sql`insert into ${sql.id(schema, name)} (${sql.raw(columns)}) overriding system value
      select ${sql.raw(values.join(', '))} from ${sql.id('tidegate', name)} where replica = ${replica}`.execute(db);
  }
  // Ids continue after the last one that 0.1 gave out, so an id that somebody noted never names another row.
  for (const name of withIdentity)
    await sql`select setval(
        pg_get_serial_sequence(${`"${schema.replaceAll('"', '""')}"."${name}"`}, 'id'),
        pg_sequence_last_value(pg_get_serial_sequence(${`tidegate.${name}`}, 'id')::regclass))`.execute(db);
  // The same table as Kysely creates. The migrations of the replica continue from there.
  await sql`create table ${sql.id(schema, 'migrations')} (name varchar(255) primary key, timestamp varchar(255) not null)`.execute(
    db,
  );
  await sql`insert into ${sql.id(schema, 'migrations')} values ('0001-control-tables', ${new Date().toISOString()})`.execute(
    db,
  );
}

async function exists(db: Kysely<unknown>, schema: string): Promise<boolean> {
  const { rows } = await sql`select from pg_namespace where nspname = ${schema}`.execute(db);
  return rows.length > 0;
}
