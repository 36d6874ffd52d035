import { Kysely, PostgresDialect, sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import pg from 'pg';
import { sharedMigrations } from '../../../../migrations/index.ts';

/** The control tables of a replica. */
export const controlTables = [
  ...(['checkpoint', 'lease', 'tables', 'schema_versions', 'conversions', 'dead_letters'] as const),
  ...(['controls', 'jobs', 'status', 'events'] as const),
];
/** The last migration of version 0.1. */
const lastOf01 = '0009-file-began';
/** The migration that moves the replicas into schemas of their own. */
const move = '0010-schema-per-replica';
/** The names that version 0.1 gave to values, by table and column. */
const formerNames: Readonly<Record<string, string>> = {
  'checkpoint.lease_epoch': '0',
  'tables.state': `case state when 'suspended' then 'parked' when 'excluded' then 'released' when 'full-refresh' then 'refreshed'
    else state end`,
  'events.kind': `case kind when 'table-suspended' then 'table-parked' when 'table-excluded' then 'table-released'
    when 'table-resumed' then 'table-taken-back' else kind end`,
  'jobs.reason': `replace(reason, 'suspended', 'parked')`,
};
/** Replicas shared the sequences of ids. The ids of each replica move up by this much more. */
export const idsOfEach = 1_000;

/**
 * Turns the control schemas of these replicas of one database into the schema of version 0.1. Its sequences of ids are at `lastId` then.
 * `role` is the connection of the role that all replicas share.
 */
export async function turnIntoVersion01(
  role: pg.ClientConfig,
  replicas: readonly string[],
  lastId: number,
): Promise<void> {
  const db = connect(role);
  try {
    await sql`drop schema tidegate cascade`.execute(db);
    await sql`create schema tidegate`.execute(db);
    const migrations = Object.entries(sharedMigrations).filter(([name]) => name <= lastOf01);
    const migrator = new Migrator({
      db,
      provider: { getMigrations: async () => await Promise.resolve(Object.fromEntries(migrations)) },
      migrationTableSchema: 'tidegate',
      migrationTableName: 'migrations',
      migrationLockTableName: 'migrations_lock',
    });
    const { error } = await migrator.migrateToLatest();
    if (error !== undefined) throw error;
    for (const table of controlTables) {
      const columns = await columnsOf01(db, table);
      for (const [at, replica] of replicas.entries()) {
        const values = columns.map((column) =>
          column === 'id' ? `id + ${at * idsOfEach}` : (formerNames[`${table}.${column}`] ?? `"${column}"`),
        );
        await sql`insert into ${sql.id('tidegate', table)} (replica, ${sql.join(columns.map((name) => sql.id(name)))})
          overriding system value
          select ${replica}, ${sql.raw(values.join(', '))} from ${sql.id(`tidegate_${replica}`, table)}`.execute(db);
      }
    }
    for (const table of ['dead_letters', 'jobs', 'events'])
      await sql`select setval(pg_get_serial_sequence(${`tidegate.${table}`}, 'id'), ${lastId})`.execute(db);
    for (const replica of replicas) await sql`drop schema ${sql.id(`tidegate_${replica}`)} cascade`.execute(db);
  } finally {
    await db.destroy();
  }
}

/** Moves all replicas as the first run does, and awaits `meanwhile` before the commit. */
export async function moveReplicas(role: pg.ClientConfig, meanwhile: () => Promise<void>): Promise<void> {
  const db = connect(role);
  try {
    await db.transaction().execute(async (trx) => {
      await sharedMigrations[move]?.up(trx);
      await sql`insert into tidegate.migrations values (${move}, ${new Date().toISOString()})`.execute(trx);
      await meanwhile();
    });
  } finally {
    await db.destroy();
  }
}

function connect(role: pg.ClientConfig): Kysely<unknown> {
  return new Kysely<unknown>({ dialect: new PostgresDialect({ pool: new pg.Pool({ ...role, max: 1 }) }) });
}

/** The columns of a control table of version 0.1, except `replica`. */
async function columnsOf01(db: Kysely<unknown>, table: string): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select column_name as name from information_schema.columns
     where table_schema = 'tidegate' and table_name = ${table} and column_name <> 'replica' order by 1`.execute(db);
  return rows.map(({ name }) => name);
}
