import { readFile, readdir } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

/** Every link must work: an operator with an error at 7 in the morning follows a link once. */

const checkout = fileURLToPath(new URL('../..', import.meta.url));
const docs = (await readdir(join(checkout, 'docs'))).filter((name) => name.endsWith('.md'));
const pages = ['README.md', 'CONTRIBUTING.md', 'ops/windows/README.md', ...docs.map((name) => `docs/${name}`)];

const codeBlock = /^ *```.*?^ *```$/gms;

/** The anchor of a heading, as GitHub generates it. */
function anchorOf(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-');
}

async function anchorsIn(path: string): Promise<Set<string>> {
  const text = (await readFile(join(checkout, path), 'utf8')).replaceAll(codeBlock, '');
  return new Set([...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchorOf(heading)));
}

test.each(pages)('%s: every link points to an existing file and heading', async (page) => {
  const text = (await readFile(join(checkout, page), 'utf8')).replaceAll(codeBlock, '');
  const links = [...text.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)];
  for (const [link, file = '', anchor] of links) {
    const path = file === '' ? page : normalize(join(dirname(page), file));
    await expect(readFile(join(checkout, path)), link).resolves.toBeDefined();
    if (anchor !== undefined && path.endsWith('.md')) expect([...(await anchorsIn(path))], link).toContain(anchor);
  }
});
