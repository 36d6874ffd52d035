import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdtemp, open, readFile, realpath, rm, statfs } from 'node:fs/promises';
import { Socket, createServer } from 'node:net';
import { freemem, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const readyLimitMs = 60_000;

/** A private folder for a server, by default in the system's temporary folder. Other accounts can pass through it but cannot list it. */
export async function privateFolder(parent = tmpdir()): Promise<string> {
  // Use the real path, because a server is recognised by the folder that it reports.
  const folder = await mkdtemp(join(await realpath(parent), 'tidegate-'));
  await chmod(folder, 0o711);
  return folder;
}

/** Returns the result of `use` with a private folder in `parent`; removes the folder if `use` fails. */
export async function inPrivateFolder<T>(parent: string, use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await privateFolder(parent);
  try {
    return await use(folder);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Linux's folder in memory; programs may not run from there. */
const inMemory = '/dev/shm';
const muchRoom = 10 * 1024 ** 3;

/**
 * Where a server's data waits for no disk: the folder in memory if it has much room and TMPDIR names no other, else the system's
 * temporary folder.
 */
export async function fastFolder(): Promise<string> {
  if (process.env['TMPDIR'] !== undefined) return tmpdir();
  try {
    const { bavail, bsize } = await statfs(inMemory);
    return bavail * bsize > muchRoom && freemem() > muchRoom ? inMemory : tmpdir();
  } catch {
    // Other systems have no such folder.
    return tmpdir();
  }
}

/** These ports are below those for outgoing connections (from 32768 on), which tests open by the hundred. */
const ports = { lowest: 15_000, highest: 32_000 } as const;

/** A loopback port that is free now. Another process may take it, so use it at once. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = randomInt(ports.lowest, ports.highest);
    if (await isFree(port)) return port;
  }
  throw new Error('no free port');
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}

export interface PrivateProcess {
  readonly pid: number;
  /** Stops the process with `signal`, waits for its end, and removes its folder. */
  stop(signal: NodeJS.Signals): Promise<void>;
  /**
   * Ends the process and its children with `signal`, and starts it again on the same files and port. `meanwhile` may change the files.
   * Returns when it is ready.
   */
  restart(signal: NodeJS.Signals, meanwhile?: (folder: string) => Promise<void>): Promise<void>;
}

export interface ServerCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** The process writes only below this folder. */
  readonly folder: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly uid?: number;
  readonly gid?: number;
}

/**
 * Starts a server and returns once `isReady` is true. The server runs in a separate session, so Ctrl-C reaches only this process.
 * If this process dies, a watcher ends the server and removes its folder.
 */
export async function startPrivate(server: ServerCommand, isReady: () => Promise<boolean>): Promise<PrivateProcess> {
  let running = await spawnPrivate(server);
  const ready = async () => {
    const deadline = Date.now() + readyLimitMs;
    while (!(await isReady())) {
      if (hasEnded(running.child) || Date.now() > deadline) {
        const tail = (await readFile(join(server.folder, 'log'), 'utf8')).slice(-2_000);
        await process_.stop('SIGKILL');
        throw new Error(`${server.command} did not become ready:\n${tail}`);
      }
      await delay(50);
    }
  };
  const process_: PrivateProcess = {
    get pid() {
      return running.pid;
    },
    stop: async (signal) => {
      await end(running, signal);
      await rm(server.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
      // The watcher ends last, so that it still cleans up if this process dies before.
      running.watcher.kill('SIGKILL');
    },
    restart: async (signal, meanwhile) => {
      // PostgreSQL does not start while a child of its former self lives.
      const children = await childrenOf(running.pid);
      await end(running, signal);
      for (const pid of children) await endOrphan(pid, signal);
      await meanwhile?.(server.folder);
      const former = running;
      running = await spawnPrivate(server);
      former.watcher.kill('SIGKILL');
      await ready();
    },
  };
  await ready();
  return process_;
}

interface Running {
  readonly pid: number;
  readonly child: ChildProcess;
  readonly ended: Promise<unknown>;
  readonly watcher: ChildProcess;
}

async function spawnPrivate(server: ServerCommand): Promise<Running> {
  const log = await open(join(server.folder, 'log'), 'a');
  const child = spawn(server.command, [...server.args], {
    cwd: '/',
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
    env: { ...process.env, ...server.env },
    ...(server.uid === undefined ? {} : { uid: server.uid, gid: server.gid ?? server.uid }),
  });
  const ended = once(child, 'exit');
  await once(child, 'spawn');
  await log.close();
  const { pid } = child;
  if (pid === undefined) throw new Error(`${server.command} did not start`);
  child.unref();
  return { pid, child, ended, watcher: watch(pid, server.folder) };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Ends the process with `signal`, or with SIGKILL if that takes long. */
async function end({ child, ended }: Running, signal: NodeJS.Signals): Promise<void> {
  if (hasEnded(child)) return;
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
  await ended;
  clearTimeout(timer);
}

/** The children of a process; none where the system does not show them as files. */
async function childrenOf(pid: number): Promise<number[]> {
  const list = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return list.split(' ').filter(Boolean).map(Number);
}

/** Ends a process that is no child of this one. */
async function endOrphan(pid: number, signal: NodeJS.Signals): Promise<void> {
  try {
    for (process.kill(pid, signal); ; process.kill(pid, 0)) await delay(10);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * Waits until this process ends, then ends the server and removes its folder. SIGQUIT stops PostgreSQL at once; SIGKILL ends a
 * server that ignores it. A pipe that only this process holds signals the end: the system closes it however the process dies, and
 * no pid can be confused with a newer one.
 */
export function watch(pid: number, folder: string): ChildProcess {
  const script = `read -r _; kill -QUIT ${pid} 2>/dev/null; sleep 1; kill -KILL ${pid} 2>/dev/null; rm -rf '${folder}'`;
  const watcher = spawn('/bin/sh', ['-c', script], { cwd: '/', detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  watcher.unref();
  // The pipe must not keep this process alive; its type hides that it is a socket.
  if (watcher.stdin instanceof Socket) watcher.stdin.unref();
  return watcher;
}
