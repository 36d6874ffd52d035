import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Compiles the program to dist/, as it is installed: without the compiler that Node would load to strip its types. */
export function compile(): void {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const tsc = ['node_modules/typescript/bin/tsc', '--project', 'tsconfig.build.json'];
  const { status, stdout } = spawnSync(process.execPath, tsc, { cwd: root, encoding: 'utf8' });
  if (status !== 0) throw new Error(`the program does not compile:\n${stdout}`);
}
