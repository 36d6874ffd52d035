import { chmod, chown, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from './command.ts';
import { debianRoot, programOf } from './debian.ts';
import { freePort, inPrivateFolder, startPrivate } from './private-process.ts';
import type { TargetServer } from './server.ts';

export interface PoolerOptions {
  readonly mode: 'session' | 'transaction';
  /** The only account that may log in, with the same name and password as in PostgreSQL. */
  readonly user: string;
  readonly password: string;
  /** Client settings that it drops; without this option it would refuse them. */
  readonly ignored: readonly string[];
}

/** PgBouncer refuses to run as root; the account nobody owns nothing and exists on every system. */
const nobody = 65_534;

/** Starts PgBouncer in front of a PostgreSQL: the program on this machine, or Debian's, unpacked into the cache. */
export async function startPgbouncer(
  target: TargetServer,
  { mode, user, password, ignored }: PoolerOptions,
): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const here = await findProgram(['pgbouncer'], ['/usr/sbin']);
  const [command = '', ...prefix] =
    here === null ? await programOf(await debianRoot('bookworm', ['pgbouncer']), 'usr/sbin/pgbouncer') : [here];
  return await inPrivateFolder(tmpdir(), async (folder) => {
    const port = await freePort();
    const users = join(folder, 'users');
    const settings = join(folder, 'pgbouncer.ini');
    await writeFile(users, `"${user}" "${password}"\n`);
    const lines = [
      ...['[databases]', `* = host=${target.host} port=${target.port}`, '[pgbouncer]'],
      ...['listen_addr = 127.0.0.1', `listen_port = ${port}`, 'unix_socket_dir ='],
      ...['auth_type = plain', `auth_file = ${users}`, `pool_mode = ${mode}`],
      ...(ignored.length === 0 ? [] : [`ignore_startup_parameters = ${ignored.join(',')}`]),
    ];
    await writeFile(settings, `${lines.join('\n')}\n`);
    const isRoot = process.getuid?.() === 0;
    if (isRoot) {
      for (const file of [users, settings]) await chown(file, nobody, nobody);
      await chmod(folder, 0o755);
    }
    const server = await startPrivate(
      { command, folder, args: [...prefix, ...(isRoot ? ['-u', 'nobody'] : []), settings] },
      async () => await answers(port),
    );
    return { port, stop: async () => await server.stop('SIGTERM') };
  });
}

async function answers(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
    socket.end();
  });
}
