import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const checkout = fileURLToPath(new URL('../..', import.meta.url));

test('no folder imports from a higher layer, no files import each other in a circle, and the picture in the docs matches the code', async () => {
  const { stderr } = await promisify(execFile)(process.execPath, ['scripts/architecture.mjs', '--check'], {
    cwd: checkout,
  });
  expect(stderr).toBe('');
});
