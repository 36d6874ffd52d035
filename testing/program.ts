import { mkdir, readdir, rm, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, '.cache', 'program');
const variable = 'TIDEGATE_PROGRAM';
/** A bundle is kept this long for test runs of the same sources that still use it. */
const keptMs = 24 * 60 * 60_000;

/** The program that commands run, as a path from the root of this checkout: the sources, or the bundle of them that a test run made. */
export function program(): string {
  return process.env[variable] ?? 'src/cli.ts';
}

/**
 * The program gives way to others on its machine. The tests beside a test on a busy machine are such others, and would hold it up without
 * end. So a bundle keeps the usual priority.
 */
const keepPriority = `import os from 'node:os';
import { syncBuiltinESMExports } from 'node:module';
os.setPriority = () => undefined;
syncBuiltinESMExports();`;

/**
 * Bundles the sources and all that they import into one file, for this process and its children. Loading a thousand modules is half of
 * what a short command costs, and a test run starts a thousand commands. The name contains a hash, so Node's compile cache knows it again.
 */
export async function bundleProgram(): Promise<void> {
  const { build } = await import('rolldown');
  await mkdir(folder, { recursive: true });
  const { output } = await build({
    input: join(root, 'src/cli.ts'),
    platform: 'node',
    output: { dir: folder, format: 'esm', entryFileNames: 'cli-[hash].js', codeSplitting: false, banner: keepPriority },
    logLevel: 'warn',
  });
  // The program finds the status page beside its own file.
  await symlink('../../src/monitoring/page', join(folder, 'page')).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const name = output[0].fileName;
  process.env[variable] = join('.cache', 'program', name);
  for (const other of await readdir(folder))
    if (other.endsWith('.js') && other !== name && (await ageMs(join(folder, other))) > keptMs)
      await rm(join(folder, other), { force: true });
}

async function ageMs(file: string): Promise<number> {
  return Date.now() - (await stat(file)).mtimeMs;
}
