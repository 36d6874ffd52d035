import { cp, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cachedFolder, exists } from './cache.ts';
import { findProgram, runCommand } from './command.ts';
import { debianRoot, programOf } from './debian.ts';
import { admin, answersMysql, privateOptions } from './mysql-family.ts';
import { NotHere } from './origins.ts';
import { fastFolder, freePort, inPrivateFolder, startPrivate } from './private-process.ts';
import type { SourceServer } from './server.ts';

/** The Debian release that contains each version, and the names of its packages there. */
const releases: Readonly<Record<string, { suite: string; packages: readonly string[] }>> = {
  '10.5': { suite: 'bullseye', packages: ['mariadb-server-core-10.5', 'mariadb-client-core-10.5'] },
  '10.11': { suite: 'bookworm', packages: ['mariadb-server-core', 'mariadb-client-core'] },
  '11.8': { suite: 'trixie', packages: ['mariadb-server-core', 'mariadb-client-core'] },
};

interface Binaries {
  readonly server: readonly string[];
  readonly client: readonly string[];
  /** The prefix it was built for, which contains its share/ and lib/. */
  readonly base: string;
}

export async function startMariadb(
  version: string,
  args: readonly string[],
  origin: 'machine' | 'fetched',
): Promise<SourceServer> {
  const binaries = origin === 'machine' ? await fromMachine(version) : await fetched(version);
  const prepared = await template(version, origin, binaries);
  return await inPrivateFolder(await fastFolder(), async (folder) => {
    const [command = '', ...prefix] = binaries.server;
    const data = join(folder, 'data');
    await cp(prepared, data, { recursive: true });
    const port = await freePort();
    const server = await startPrivate(
      {
        command,
        folder,
        args: [
          ...prefix,
          ...(await commonOptions(binaries.base, data, folder)),
          ...privateOptions(folder, port),
          ...[
            '--character-set-server=utf8mb4',
            '--innodb-flush-log-at-trx-commit=2',
            '--sync-binlog=0',
            '--performance-schema=OFF',
          ],
          ...['--max-allowed-packet=64M', ...args],
        ],
      },
      async () => await answersMysql(port, data),
    );
    return {
      flavor: 'mariadb',
      version,
      host: '127.0.0.1',
      port,
      ...admin,
      origin,
      clientCommand: [...binaries.client],
      get pid() {
        return server.pid;
      },
      stop: async () => await server.stop('SIGTERM'),
      restart: server.restart,
    };
  });
}

async function fromMachine(version: string): Promise<Binaries> {
  const server = await findProgram(['mariadbd'], ['/usr/sbin', '/usr/local/sbin', '/usr/local/mariadb/bin']);
  if (server === null) throw new NotHere('there is no mariadbd');
  const installed = /Ver (\d+\.\d+)/.exec(await runCommand(server, ['--no-defaults', '--version']))?.[1];
  if (installed !== version) throw new NotHere(`mariadbd is version ${installed}`);
  const client = await findProgram(['mariadb', 'mysql']);
  return { server: [server], client: client === null ? [] : [client], base: join(server, '../..') };
}

async function fetched(version: string): Promise<Binaries> {
  const release = releases[version];
  if (release === undefined)
    throw new NotHere(`no Debian release is known to contain it (known: ${Object.keys(releases).join(', ')})`);
  const root = await debianRoot(release.suite, release.packages);
  return {
    server: await programOf(root, 'usr/sbin/mariadbd'),
    client: await programOf(root, 'usr/bin/mariadb'),
    base: join(root, 'usr'),
  };
}

/** A starting server deletes the temporary tables that it finds, so each server has its own temporary folder. */
async function commonOptions(base: string, data: string, temporary: string): Promise<string[]> {
  const share = await shareFolder(base);
  return [
    '--no-defaults',
    `--basedir=${base}`,
    `--datadir=${data}`,
    `--tmpdir=${temporary}`,
    `--lc-messages-dir=${share}`,
    `--character-sets-dir=${join(share, 'charsets')}`,
    `--plugin-dir=${join(base, 'lib/mysql/plugin')}`,
    ...[
      '--innodb-buffer-pool-size=64M',
      '--innodb-log-file-size=32M',
      '--innodb-log-buffer-size=4M',
      '--key-buffer-size=16M',
      '--aria-pagecache-buffer-size=8M',
    ],
    ...(process.getuid?.() === 0 ? ['--user=root'] : []),
  ];
}

async function shareFolder(base: string): Promise<string> {
  const renamed = join(base, 'share/mariadb');
  return (await exists(join(renamed, 'charsets'))) ? renamed : join(base, 'share/mysql');
}

/**
 * An initialised data directory, made once. It contains the system tables, made by the server's scripts, and one administrator.
 */
async function template(version: string, origin: string, binaries: Binaries): Promise<string> {
  return await cachedFolder(`data-mariadb-${version}-${origin}-${process.getuid?.() ?? 0}`, async (data) => {
    const share = await shareFolder(binaries.base);
    const script = async (...names: string[]) => {
      for (const name of names) if (await exists(join(share, name))) return await readFile(join(share, name), 'utf8');
      return '';
    };
    const accounts = ['127.0.0.1', 'localhost'].map(
      (host) =>
        `create or replace user ${admin.user}@'${host}' identified by '${admin.password}';\ngrant all privileges on *.* to ${admin.user}@'${host}' with grant option;`,
    );
    const input = [
      'create database if not exists mysql;\nuse mysql;\nset @auth_root_socket=null;',
      await script('mariadb_system_tables.sql', 'mysql_system_tables.sql'),
      await script('mariadb_performance_tables.sql', 'mysql_performance_tables.sql'),
      await script('mariadb_system_tables_data.sql', 'mysql_system_tables_data.sql'),
      await script('maria_add_gis_sp_bootstrap.sql'),
      await script('mariadb_sys_schema.sql', 'mysql_sys_schema.sql'),
      "use mysql;\ndelete from global_priv where User='root';\nflush privileges;",
      ...accounts,
      '',
    ].join('\n');
    const [command = '', ...prefix] = binaries.server;
    await mkdir(data, { recursive: true });
    await inPrivateFolder(await fastFolder(), async (folder) => {
      const options = await commonOptions(binaries.base, data, folder);
      const quietly = ['--bootstrap', '--silent-startup', '--log-warnings=0', '--max-allowed-packet=8M'];
      await runCommand(command, [...prefix, ...options, ...quietly], { input });
      await rm(folder, { recursive: true });
    });
  });
}
