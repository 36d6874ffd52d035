import { sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { replicaMigrations, sharedMigrations } from '../../../migrations/index.ts';
import { CannotMoveReplicas } from '../../../migrations/shared/0010-schema-per-replica.ts';
import { fromPostgres } from '../../errors/postgres-errors.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { type ControlSchema, controlSchemaName, sharedSchemaName } from './control-schema.ts';
import type { Reading, Target, TargetSession, WritingSession } from '../session.ts';

/** The advisory lock for the check and the migration of a control schema. Two instances that start together take turns. */
const migrationLock = 7_433_421_026;
/** The longest wait for that lock. An instance that froze while it holds the lock is reported. */
const lockTimeoutMs = 30_000;

/**
 * Migrates the shared schema and the control schema of this replica to this program's version. Raises control-schema-newer if a later
 * Tidegate has migrated one of them: this program would misread its state. Raises refused if replicas of 0.1 cannot be moved yet.
 */
export async function migrateControlSchema(session: WritingSession): Promise<void> {
  const { db, targetSchema } = session;
  await sql`set lock_timeout = ${sql.raw(String(lockTimeoutMs))}`.execute(db);
  await sql`select pg_advisory_lock(${migrationLock}::bigint)`.execute(db);
  try {
    await assertNotNewer(session);
    for (const [schema, migrations] of migrationsOf(targetSchema)) await migrate(session.all, schema, migrations);
  } finally {
    await sql`select pg_advisory_unlock(${migrationLock}::bigint)`.execute(db);
  }
}

/** The schemas and their migrations, in the order of execution. */
function migrationsOf(targetSchema: string): [string, Readonly<Record<string, Migration>>][] {
  const own = controlSchemaName(targetSchema);
  return [
    [sharedSchemaName, sharedMigrations],
    [own, replicaMigrations(own)],
  ];
}

async function migrate(db: Target, schema: string, migrations: Readonly<Record<string, Migration>>): Promise<void> {
  await sql`create schema if not exists ${sql.id(schema)}`.execute(db);
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => await Promise.resolve({ ...migrations }) },
    migrationTableSchema: schema,
    migrationTableName: 'migrations',
    migrationLockTableName: 'migrations_lock',
  });
  const { error } = await migrator.migrateToLatest();
  if (error instanceof CannotMoveReplicas) throw new TidegateError('refused', error.message, { hint: error.remedy });
  if (error !== undefined) throw fromPostgres(error, { what: 'migrate the control schema' });
}

/**
 * Whether this replica has a control table. False before its first `run`, and before the first `run` of the version that adds the table.
 * Raises control-schema-older for the state of version 0.1, which the next `run` migrates.
 */
export async function hasControlTable(db: Reading, table: keyof ControlSchema): Promise<boolean> {
  const { sql: name } = sql`${sql.table(table)}`.compile(db);
  // The old state is looked for first: where it is gone, the migration has already created the table.
  const { rows } = await sql<{ isOlder: boolean; found: boolean }>`
    select ${ofVersion01} as "isOlder", to_regclass(${name}) is not null as found`.execute(db);
  if (rows[0]?.found === true) return true;
  if (rows[0]?.isOlder === true)
    throw new TidegateError('control-schema-older', 'the control schema at the target is from Tidegate 0.1');
  return false;
}

const ofVersion01 = sql<boolean>`to_regclass('tidegate.checkpoint') is not null`;

/** Whether the replicas of this database still have the state of version 0.1. */
export async function isOfVersion01(db: Reading): Promise<boolean> {
  const { rows } = await sql<{ isOlder: boolean }>`select ${ofVersion01} as "isOlder"`.execute(db);
  return rows[0]?.isOlder === true;
}

/** Raises control-schema-newer if the target has migrations that this program does not know. Changes nothing. */
export async function assertNotNewer({ db, targetSchema }: TargetSession): Promise<void> {
  for (const [schema, migrations] of migrationsOf(targetSchema)) {
    const found = await sql`select from pg_tables where schemaname = ${schema} and tablename = 'migrations'`.execute(
      db,
    );
    if (found.rows.length === 0) continue;
    const { rows } = await sql<{ name: string }>`select name from ${sql.id(schema, 'migrations')}`.execute(db);
    const unknown = rows.filter(({ name }) => !(name in migrations)).length;
    if (unknown > 0)
      throw new TidegateError(
        'control-schema-newer',
        `the schema ${schema} at the target has ${unknown} migrations this version does not know`,
      );
  }
}
