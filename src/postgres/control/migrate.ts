import { sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import { migrations } from '../../../migrations/index.ts';
import { fromPostgres } from '../../errors/postgres-errors.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { type ControlSchema, controlSchemaName } from './control-schema.ts';
import type { Target, TargetSession } from '../session.ts';

/** Held while the control schema is looked at and migrated, so that two instances starting together take turns. */
const migrationLock = 7_433_421_026;
/** An instance that froze while it held that lock is told of, not waited for without a word. */
const lockTimeoutMs = 30_000;

/**
 * Brings the control schema up to this program's version. Raises control-schema-newer when a later Tidegate has migrated it
 * already: running on would misread its state.
 */
export async function migrateControlSchema(session: TargetSession): Promise<void> {
  const { db } = session;
  await session.guarded(async () => {
    await sql`set lock_timeout = ${sql.raw(String(lockTimeoutMs))}`.execute(db);
    await sql`select pg_advisory_lock(${migrationLock}::bigint)`.execute(db);
  });
  try {
    await assertNotNewer(db);
    await session.guarded(async () => await sql`create schema if not exists ${sql.id(controlSchemaName)}`.execute(db));
    const migrator = new Migrator({
      db,
      provider: { getMigrations: async () => await Promise.resolve({ ...migrations }) },
      migrationTableSchema: controlSchemaName,
      migrationTableName: 'migrations',
      migrationLockTableName: 'migrations_lock',
    });
    const { error } = await migrator.migrateToLatest();
    if (error !== undefined) throw fromPostgres(error, { what: 'migrate the control schema' });
  } finally {
    await session.guarded(async () => await sql`select pg_advisory_unlock(${migrationLock}::bigint)`.execute(db));
  }
}

/** Whether the target has a control table: not before the first `run`, nor before that of the version that brings it. */
export async function hasControlTable(db: Target, table: keyof ControlSchema): Promise<boolean> {
  const { rows } = await sql<{ found: boolean }>`select to_regclass(${table}) is not null as found`.execute(db);
  return rows[0]?.found === true;
}

/** Raises control-schema-newer when migrations ran there that this program does not know. Changes nothing. */
export async function assertNotNewer(db: Target): Promise<void> {
  const exists = await sql<{ found: boolean }>`select to_regclass('tidegate.migrations') is not null as found`.execute(
    db,
  );
  if (exists.rows[0]?.found !== true) return;
  const { rows } = await sql<{ name: string }>`select name from tidegate.migrations`.execute(db);
  const unknown = rows.filter(({ name }) => !(name in migrations)).length;
  if (unknown > 0)
    throw new TidegateError(
      'control-schema-newer',
      `the control schema has ${unknown} migrations this version does not know`,
    );
}
