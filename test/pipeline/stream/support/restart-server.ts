import { spawn } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** A restarted server. It is a child of this process, so this handle must stop it. */
export interface RestartedServer {
  stop(): Promise<void>;
}

/**
 * Ends a server process and starts the same command line again as the same user, with the same data directory and port. It
 * retries `ready` until it succeeds. The server must run on this machine, because its command line is read from /proc.
 */
export async function restartServer(
  pid: number | undefined,
  signal: 'SIGKILL' | 'SIGTERM' | 'SIGINT',
  ready: () => Promise<void>,
): Promise<RestartedServer & { readonly pid: number }> {
  if (pid === undefined) throw new Error('this test restarts its servers and needs them as processes of this machine');
  const [[program = '', ...args], owner] = await Promise.all([
    nulSeparated(`/proc/${pid}/cmdline`),
    stat(`/proc/${pid}`),
  ]);
  process.kill(pid, signal);
  await gone(pid);
  // The server gets the environment of this process, as before. In a container even root may not read the environment of another
  // user's process.
  const child = spawn(program, args, {
    stdio: 'ignore',
    ...(process.getuid?.() === 0 ? { uid: owner.uid, gid: owner.gid } : {}),
  });
  const started = child.pid;
  if (started === undefined) throw new Error(`${program} could not be started again`);
  const deadline = Date.now() + 60_000;
  for (;;) {
    try {
      await ready();
      break;
    } catch (error) {
      if (Date.now() > deadline || child.exitCode !== null) {
        throw new Error(`the server did not come back (${child.exitCode ?? 'running'})`, { cause: error });
      }
      await sleep(100);
    }
  }
  return {
    pid: started,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await gone(started);
    },
  };
}

async function nulSeparated(file: string): Promise<string[]> {
  return (await readFile(file, 'utf8')).split('\0').filter((part) => part !== '');
}

/** Waits until a process has ended; a zombie counts as ended. */
async function gone(pid: number): Promise<void> {
  for (let waited = 0; waited < 60_000; waited += 50) {
    try {
      if (/^\d+ \(.*\) Z/su.test(await readFile(`/proc/${pid}/stat`, 'utf8'))) return;
    } catch (error) {
      if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return;
      throw error;
    }
    await sleep(50);
  }
  throw new Error(`process ${pid} does not end`);
}
