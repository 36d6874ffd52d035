import { type Kysely, sql } from 'kysely';

/**
 * Lets the lease alone decide who may write. A unique index makes its epoch a key, so that a writer's `for key share` lock holds off a new
 * epoch and nothing else. Dead letters are retried by a job.
 */
export async function up(db: Kysely<unknown>, schema: string): Promise<void> {
  const statements = [
    sql`create unique index lease_epoch on ${sql.id(schema, 'lease')} (epoch)`,
    sql`alter table ${sql.id(schema, 'checkpoint')} drop column lease_epoch`,
    sql`alter table ${sql.id(schema, 'jobs')} drop constraint jobs_kind_check`,
    sql`alter table ${sql.id(schema, 'jobs')}
      add constraint jobs_kind_check check (kind in ('backfill', 'verify', 'refresh', 'retry'))`,
  ];
  for (const statement of statements) await statement.execute(db);
}
