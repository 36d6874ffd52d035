import { NotHere } from './origins.ts';
import type { SourceServer } from './source.ts';
import type { TargetServer } from './target.ts';

const password = 'sandbox';

/**
 * An engine that answers may still be unable to get an image, on a machine without a way to its registry. That is no reason to
 * give up while packages can be had.
 */
async function orNotHere<T>(start: Promise<T>): Promise<T> {
  return await start.catch((error: unknown) => {
    throw new NotHere(`a container could not be started: ${error instanceof Error ? error.message : String(error)}`);
  });
}

/** Whether a container engine answers; testcontainers knows all the places one may be. */
async function engine() {
  const { getContainerRuntimeClient } = await import('testcontainers');
  await getContainerRuntimeClient().catch(() => {
    throw new NotHere('no container engine answers');
  });
}

export async function startContainerSource(
  flavor: 'mariadb' | 'mysql',
  version: string,
  args: readonly string[],
): Promise<SourceServer> {
  await engine();
  if (flavor === 'mysql') throw new NotHere('only MariaDB is started in a container');
  const { MariaDbContainer } = await import('@testcontainers/mariadb');
  const container = new MariaDbContainer(`mariadb:${version}`)
    .withRootPassword(password)
    .withCommand([
      ...[
        'mariadbd',
        '--server-id=1',
        '--log-bin=binlog',
        '--binlog-format=ROW',
        '--binlog-row-image=FULL',
        '--skip-name-resolve',
      ],
      ...['--character-set-server=utf8mb4', '--innodb-flush-log-at-trx-commit=2', '--max-allowed-packet=64M', ...args],
    ]);
  const started = await orNotHere(container.start());
  return {
    flavor,
    version,
    host: started.getHost(),
    port: started.getPort(),
    user: 'root',
    password,
    origin: 'container',
    stop: async () => void (await started.stop()),
  };
}

export async function startContainerTarget(version: string, args: readonly string[]): Promise<TargetServer> {
  await engine();
  const { PostgreSqlContainer } = await import('@testcontainers/postgresql');
  const container = new PostgreSqlContainer(`postgres:${version}`)
    .withUsername('postgres')
    .withPassword(password)
    .withCommand([
      'postgres',
      '-c',
      'fsync=off',
      '-c',
      'synchronous_commit=off',
      '-c',
      'full_page_writes=off',
      ...args,
    ]);
  const started = await orNotHere(container.start());
  return {
    version,
    host: started.getHost(),
    port: started.getPort(),
    user: 'postgres',
    password,
    origin: 'container',
    stop: async () => void (await started.stop()),
  };
}
