import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A limit of the kernel on the memory of some processes, as a container has it. */
export interface MemoryLimit {
  /** Starts a program within the limit: what stands before its name and arguments. */
  readonly launcher: readonly string[];
  /** How many processes the kernel ended because of it. */
  kills(): Promise<number>;
  /** Takes the limit away. All processes must have ended. */
  remove(): Promise<void>;
}

/** cgroup 1 and 2 name the same things differently. */
const kinds = [
  { folder: '/sys/fs/cgroup/memory', limit: 'memory.limit_in_bytes', events: 'memory.oom_control' },
  { folder: '/sys/fs/cgroup', limit: 'memory.max', events: 'memory.events' },
];

/** Limits processes to `megabytes`. Null where the system does not allow it: only root may, and only outside of most containers. */
export async function limitMemory(megabytes: number): Promise<MemoryLimit | null> {
  for (const kind of kinds) {
    const folder = join(kind.folder, `tidegate-${process.pid}`);
    try {
      await mkdir(folder);
      await writeFile(join(folder, kind.limit), String(megabytes * 1024 * 1024));
    } catch {
      await rmdir(folder).catch(() => undefined);
      continue;
    }
    return {
      launcher: ['sh', '-c', `echo $$ > ${join(folder, 'cgroup.procs')} && exec "$@"`, 'sh'],
      kills: async () => Number(/^oom_kill (\d+)$/m.exec(await readFile(join(folder, kind.events), 'utf8'))?.[1] ?? 0),
      remove: async () => await rmdir(folder),
    };
  }
  return null;
}
