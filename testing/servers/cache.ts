import { mkdir, rename, rm, stat, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** The folder of this checkout for fetched servers; git ignores it. */
const cacheRoot = fileURLToPath(new URL('../../.cache/servers', import.meta.url));
const lockLimitMs = 10 * 60_000;

/**
 * A folder of the cache. One process fills it with `fill`; other processes that request it meanwhile wait. The folder appears
 * complete or not at all.
 */
export async function cachedFolder(name: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(cacheRoot, name);
  if (await exists(folder)) return folder;
  await mkdir(cacheRoot, { recursive: true });
  const release = await lock(`${folder}.lock`);
  try {
    if (await exists(folder)) return folder;
    const partial = `${folder}.${process.pid}`;
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true });
    try {
      await fill(partial);
      await rename(partial, folder);
    } catch (error) {
      await rm(partial, { recursive: true, force: true });
      throw error;
    }
    return folder;
  } finally {
    await release();
  }
}

export async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

/** A lock that does not outlive its holder: the pid shows whether the holder still lives. */
async function lock(path: string): Promise<() => Promise<void>> {
  const started = Date.now();
  for (;;) {
    const made = await mkdir(path).then(
      () => true,
      () => false,
    );
    if (made) {
      await writeFile(join(path, 'pid'), String(process.pid));
      return async () => await rm(path, { recursive: true, force: true });
    }
    const holder = Number(await readFile(join(path, 'pid'), 'utf8').catch(() => '0'));
    if ((holder > 0 && !isAlive(holder)) || Date.now() - started > lockLimitMs)
      await rm(path, { recursive: true, force: true });
    else await delay(200);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
