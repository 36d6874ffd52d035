// Builds dist/, the content of the package and of the image: the program as JavaScript, and the status page's files unchanged.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const page = join('src', 'monitoring', 'page');

// A file whose source was deleted must not be shipped.
rmSync(join(root, 'dist'), { recursive: true, force: true });

const tsc = join(root, 'node_modules', '.bin', 'tsc');
const { status } = spawnSync(process.execPath, [tsc, '--project', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});
if (status !== 0) process.exit(status ?? 1);

// The compiler does not copy files other than TypeScript.
if (existsSync(join(root, page))) cpSync(join(root, page), join(root, 'dist', page), { recursive: true });
