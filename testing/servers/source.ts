import { startContainerSource } from './containers.ts';
import { startMariadb } from './mariadb.ts';
import { startMysql } from './mysql.ts';
import { firstToWork, urlFrom } from './origins.ts';
import type { SourceServer } from './server.ts';

export interface SourceOptions {
  readonly flavor?: 'mariadb' | 'mysql';
  readonly version?: string;
  /** Additional options for the server; they come after the defaults and override them. */
  readonly args?: readonly string[];
  /** Requires a local process with a pid and accessible files: neither a container nor a server given by URL. */
  readonly asProcess?: boolean;
}

/**
 * Starts a source from the first origin that has one: TIDEGATE_TEST_SOURCE_URL, a server program on this machine, a container
 * engine, or packages fetched into the cache of this checkout. Throws an error that lists each attempt and why it failed.
 */
export async function startSource(options: SourceOptions = {}): Promise<SourceServer> {
  const flavor = options.flavor ?? 'mariadb';
  const version = options.version ?? (flavor === 'mariadb' ? '10.11' : '9.7');
  const args = options.args ?? [];
  const url = urlFrom('TIDEGATE_TEST_SOURCE_URL');
  // A server given by URL is fixed: it cannot have another version, get options or be stopped.
  const isFree = options.version === undefined && options.flavor === undefined && args.length === 0;
  if (url !== null && isFree && options.asProcess !== true)
    return { flavor, version: 'as given', ...url, origin: 'url', stop: async () => await Promise.resolve() };
  const start = flavor === 'mariadb' ? startMariadb : startMysql;
  return await firstToWork(`${flavor} ${version}`, {
    machine: async () => await start(version, args, 'machine'),
    ...(options.asProcess === true ? {} : { container: async () => await startContainerSource(flavor, version, args) }),
    fetched: async () => await start(version, args, 'fetched'),
  });
}
