import { print } from './print.ts';
import type { Config, TargetConfig } from '../config/config.ts';
import { Scope } from '../lifetime/scope.ts';
import type { ControlSchema } from '../postgres/control/control-schema.ts';
import { hasControlTable } from '../postgres/control/migrate.ts';
import type { TargetSession } from '../postgres/session.ts';

/** The kind of session that a command needs: one that reads, or one that writes. */
interface Opens<Session> {
  readonly open: (scope: Scope, target: TargetConfig, name: string) => Promise<Session>;
}

/** Runs `work` in a session of the target. Before the first `run` there is no such table, and `nothing` is printed. Returns the exit code. */
export async function withTarget<Session extends TargetSession>(
  config: Config,
  { open }: Opens<Session>,
  { table, nothing }: { readonly table: keyof ControlSchema; readonly nothing: string },
  work: (session: Session) => Promise<number>,
): Promise<number> {
  await using scope = new Scope();
  const session = await open(scope, config.target, `tidegate ${table.replaceAll('_', '-')}`);
  if (await hasControlTable(session.db, table)) return await work(session);
  print(nothing);
  return 0;
}
