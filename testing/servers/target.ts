import { startContainerTarget } from './containers.ts';
import { firstToWork, urlFrom } from './origins.ts';
import { startPostgres } from './postgres.ts';
import type { TargetServer } from './server.ts';

export interface TargetOptions {
  /** Major version; by default any version on the machine is used. */
  readonly version?: string;
  /** Additional options for the server, as `-c name=value` words; they override the defaults. */
  readonly args?: readonly string[];
  /** Requires a local process, as with a source. */
  readonly asProcess?: boolean;
}

/** Like startSource, with TIDEGATE_TEST_TARGET_URL. */
export async function startTarget(options: TargetOptions = {}): Promise<TargetServer> {
  const args = options.args ?? [];
  const url = urlFrom('TIDEGATE_TEST_TARGET_URL');
  if (url !== null && options.version === undefined && args.length === 0 && options.asProcess !== true)
    return { version: 'as given', ...url, origin: 'url', stop: async () => await Promise.resolve() };
  return await firstToWork(`postgres ${options.version ?? '(any)'}`, {
    machine: async () => await startPostgres(options.version ?? null, args, 'machine'),
    ...(options.asProcess === true
      ? {}
      : { container: async () => await startContainerTarget(options.version ?? '15', args) }),
    fetched: async () => await startPostgres(options.version ?? '17', args, 'fetched'),
  });
}
