import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Builds dist/, as it is installed: without the compiler that Node would load to strip its types, and with the status page. */
export function compile(): void {
  const root = fileURLToPath(new URL('..', import.meta.url));
  // What it complains of is no result of a bench.
  const { status, stdout } = spawnSync(process.execPath, ['scripts/build.mjs'], { cwd: root, encoding: 'utf8' });
  if (status !== 0) throw new Error(`the program does not compile:\n${stdout}`);
}
