import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { errorKinds } from './error-kinds.ts';

it('docs/operations.md lists a remedy for every error kind', async () => {
  const page = await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8');
  const table = page.slice(page.indexOf('## Errors and remedies'));
  for (const kind of Object.keys(errorKinds)) expect(table).toMatch(new RegExp(`^\\|.*\`${kind}\`.*\\|`, 'm'));
});
