import { sql } from 'kysely';
import type { Config } from '../config/config.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { recordEvent, who } from '../target/events.ts';
import { hasControlTable } from '../target/migrate.ts';
import { TargetSession } from '../target/session.ts';

/** Tells the service to rest, or to go on; it obeys within a second, or when it starts. Returns the exit code. */
export async function setPaused(config: Config, paused: boolean): Promise<number> {
  const replica = config.target.schema;
  const session = await TargetSession.open(config.target, `tidegate ${paused ? 'pause' : 'resume'}`);
  try {
    if (!(await session.guarded(async () => await hasControlTable(session.db, 'tidegate.controls'))))
      throw new TidegateError(
        'refused',
        `there is nothing to ${paused ? 'pause' : 'resume'}: no service ever ran on this target`,
        {
          hint: 'Start `tidegate run` first; it makes the control schema.',
        },
      );
    const by = who();
    await session.transaction(async (trx) => {
      await trx
        .insertInto('tidegate.controls')
        .values({ replica, paused, changed_by: by })
        .onConflict((conflict) =>
          conflict.column('replica').doUpdateSet({ paused, changed_by: by, changed_at: sql`now()` }),
        )
        .execute();
      await recordEvent(trx, replica, paused ? 'paused' : 'resumed');
    });
    process.stdout.write(
      paused
        ? `paused: the source is left alone until tidegate resume. Its binlog must last until then.\n`
        : `resumed\n`,
    );
    return 0;
  } finally {
    await session.close();
  }
}
