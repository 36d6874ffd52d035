import { randomUUID } from 'node:crypto';
import type { ContainerRuntimeClient, GenericContainer } from 'testcontainers';
import { NotHere } from './origins.ts';
import type { SourceServer, TargetServer } from './server.ts';

const password = 'sandbox';

const logLimit = 2_000;

/**
 * Starts a container. A reachable engine may still be unable to get an image, on a machine without access to its registry. Then
 * the next origin, packages, is tried. A container that was created and does not become ready is a fault, and the error includes
 * its log.
 */
async function startLogged<T>(container: GenericContainer, start: () => Promise<T>): Promise<T> {
  const engine = await containerEngine();
  const mark = ['tidegate.start', randomUUID()] as const;
  let log = '';
  container
    .withLabels({ [mark[0]]: mark[1] })
    .withLogConsumer((stream) => stream.on('data', (text: string) => (log += text)));
  try {
    return await start();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    // The log consumer sees nothing of a container that ended before its ports were bound, and nothing removes it.
    const ended = await engine.container.fetchByLabel(...mark, { status: ['exited', 'dead'] });
    if (ended !== undefined) {
      log = '';
      for await (const text of await engine.container.logs(ended)) log += String(text);
      await engine.container.remove(ended, { removeVolumes: true });
    }
    if (ended === undefined && log === '') throw new NotHere(`a container could not be started: ${reason}`);
    throw new Error(`the container did not become ready (${reason}):\n${log.slice(-logLimit)}`, { cause: error });
  }
}

/** The container engine that answers; testcontainers knows all addresses an engine may have. */
async function containerEngine(): Promise<ContainerRuntimeClient> {
  const { getContainerRuntimeClient } = await import('testcontainers');
  return await getContainerRuntimeClient().catch(() => {
    throw new NotHere('no container engine answers');
  });
}

export async function startContainerSource(
  flavor: 'mariadb' | 'mysql',
  version: string,
  args: readonly string[],
): Promise<SourceServer> {
  await containerEngine();
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
  const started = await startLogged(container, async () => await container.start());
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
  await containerEngine();
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
  const started = await startLogged(container, async () => await container.start());
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
