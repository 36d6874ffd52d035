import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cachedFolder } from './cache.ts';
import { runCommand } from './command.ts';

/** An npm package of exactly this version, fetched into the cache; its install scripts do not run. Returns its folder. */
export async function npmPackage(name: string, version: string): Promise<string> {
  const home = await cachedFolder(`npm-${name.replaceAll('/', '-')}-${version}`, async (folder) => {
    process.stderr.write(`fetching ${name} ${version} into .cache (once) …\n`);
    await mkdir(folder, { recursive: true });
    await runCommand('npm', [
      'install',
      '--prefix',
      folder,
      '--no-save',
      '--no-audit',
      '--no-fund',
      '--ignore-scripts',
      '--loglevel=error',
      `${name}@${version}`,
    ]);
  });
  return join(home, 'node_modules', name);
}
