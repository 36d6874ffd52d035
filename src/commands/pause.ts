import type { Config } from '../config/config.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { setPaused } from '../postgres/control/controls.ts';
import { hasControlTable } from '../postgres/control/migrate.ts';
import { TargetSession } from '../postgres/session.ts';

/** Tells the service to rest, or to go on; it obeys within a second, or when it starts. Returns the exit code. */
export async function pauseOrResume(config: Config, paused: boolean): Promise<number> {
  const session = await TargetSession.open(config.target, `tidegate ${paused ? 'pause' : 'resume'}`);
  try {
    if (!(await session.guarded(async () => await hasControlTable(session.db, 'controls'))))
      throw new TidegateError(
        'refused',
        `there is nothing to ${paused ? 'pause' : 'resume'}: no service ever ran on this target`,
        {
          hint: 'Start `tidegate run` first; it makes the control schema.',
        },
      );
    await session.transaction(async (trx) => await setPaused(trx, paused));
    process.stdout.write(
      paused
        ? `paused: the source is only asked where its binlog ends, until tidegate resume. Its binlog must last until then.\n`
        : `resumed\n`,
    );
    return 0;
  } finally {
    await session.close();
  }
}
