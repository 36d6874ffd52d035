import type { Config } from '../../config/config.ts';
import { sqlStateOf } from '../../errors/postgres-errors.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import type { Fence } from '../../postgres/control/fence.ts';
import { type Job, isAutomatic } from '../../postgres/control/jobs.ts';
import { limitLockWaitsOf } from '../../postgres/rows/lock-timeout.ts';
import { reshapeTable } from '../../postgres/rows/tables.ts';

/** SQLSTATEs of PostgreSQL when another object depends on a column that would change. Such a column stays unchanged. */
const dependedOn = new Set(['2BP01', '0A000']);

export function hasDependents(error: unknown): boolean {
  return dependedOn.has(sqlStateOf(error) ?? '');
}

/** Whether one of these jobs may delete all rows of its table. A person has confirmed it, or has asked for it outside production. */
export function mayEmpty({ environment }: Config, jobs: readonly Job[]): boolean {
  return jobs.some((job) => job.confirmed || (environment !== 'production' && !isAutomatic(job)));
}

/**
 * Gives the target table the columns that the stream writes, if somebody has changed them by hand. A column that a view depends on stays as
 * it is: the rows may fit it anyway.
 */
export async function fitTable(config: Config, fence: Fence, job: Job, codec: TableCodec): Promise<void> {
  try {
    await fence.transaction(async (trx) => {
      await limitLockWaitsOf(trx);
      await reshapeTable(trx, config.target.schema, codec, { mayEmpty: mayEmpty(config, [job]) });
    });
  } catch (error) {
    if (!hasDependents(error)) throw error;
  }
}
