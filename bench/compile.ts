import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Builds dist/ in its installed form: with the status page, and without the type stripping that Node would do at start. */
export function compile(): void {
  const root = fileURLToPath(new URL('..', import.meta.url));
  // Its warnings are no result of a bench.
  const { status, stdout } = spawnSync(process.execPath, ['scripts/build.mjs'], { cwd: root, encoding: 'utf8' });
  if (status !== 0) throw new Error(`the program does not compile:\n${stdout}`);
}
