import { execFile } from 'node:child_process';
import { open, chmod, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { privateFolder } from './servers/private-process.ts';

const run = promisify(execFile);

/** A disk of a few megabytes in memory, which can be filled. */
export interface SmallDisk {
  readonly folder: string;
  fill(): Promise<void>;
  /** Makes the room free again. */
  free(): Promise<void>;
  unmount(): Promise<void>;
}

/** Mounts a disk that any account may write. Null: only root may mount, and only where the system allows it. */
export async function mountSmallDisk(megabytes: number): Promise<SmallDisk | null> {
  const folder = await privateFolder();
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder]);
  } catch {
    await rm(folder, { recursive: true });
    return null;
  }
  await chmod(folder, 0o777);
  const filler = join(folder, 'filler');
  return {
    folder,
    fill: async () => {
      const file = await open(filler, 'a');
      try {
        for (const block = Buffer.alloc(4_096); ;) await file.write(block);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      } finally {
        await file.close();
      }
    },
    free: async () => await rm(filler, { force: true }),
    unmount: async () => {
      // A server that ends slowly may still have a file open there.
      await run('umount', ['--lazy', folder]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
