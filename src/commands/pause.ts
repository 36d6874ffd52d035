import { print } from './print.ts';
import type { Config } from '../config/config.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { request, setPaused } from '../postgres/control/requests.ts';
import { hasControlTable } from '../postgres/control/migrate.ts';
import { Scope } from '../lifetime/scope.ts';
import { WritingSession } from '../postgres/session.ts';

/** Pauses or resumes the service, which reacts within a second, or at its start. Returns the exit code. */
export async function pauseOrResume(config: Config, paused: boolean): Promise<number> {
  await using scope = new Scope();
  const session = await WritingSession.open(scope, config.target, `tidegate ${paused ? 'pause' : 'resume'}`);
  if (!(await hasControlTable(session.db, 'controls')))
    throw new TidegateError(
      'refused',
      `there is nothing to ${paused ? 'pause' : 'resume'}: no service has run on this target yet`,
      {
        hint: 'Start `tidegate run` first; it creates the control schema.',
      },
    );
  await request(session, async (trx) => await setPaused(trx, paused));
  print(
    paused
      ? `paused: until tidegate resume, only the end of the binlog is queried. The source must keep its binlog until then.`
      : `resumed`,
  );
  return 0;
}
