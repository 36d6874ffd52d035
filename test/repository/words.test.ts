import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const checkout = fileURLToPath(new URL('../..', import.meta.url));
/** The glossary lists the names of before; the changelog and migrations tell of them; this file has them to look for. */
const mayHaveThem =
  /^(docs\/glossary\.md|CHANGELOG\.md|migrations\/shared\/|test\/repository\/words\.test\.ts|package-lock\.json)/;
/** Words that docs/glossary.md replaces. Ordinary English that only looks like one of them is left out. */
const replaced = [
  /(?<![a-z])park(s|ed|ing)?\b/i,
  /[a-z]Park(s|ed|ing)?\b/,
  /\bmend(s|ed|ing)?\b/i,
  /\bheal(s|ed|ing)?\b/i,
  /\btaken? back\b/i,
  /\bwritten around\b|\bwriteAround\b/i,
  /\btouched keys?\b|\bTouchedKeys\b/i,
  /\b(?<!in )places?\b(?! of )/i,
  /\bsettled?\b/i,
];

test('code, messages, docs, page, alerts and metrics have one word for one thing', () => {
  const files = execFileSync('git', ['ls-files', 'src', 'docs', 'ops', 'migrations', 'README.md', '.env.template'], {
    cwd: checkout,
    encoding: 'utf8',
  })
    .split('\n')
    .filter((file) => /\.(ts|md|js|html|css|ya?ml|json|service|xml|template)$/.test(file) && !mayHaveThem.test(file));
  expect(files.length).toBeGreaterThan(200);
  const found = files.flatMap((file) =>
    readFileSync(`${checkout}/${file}`, 'utf8')
      .split('\n')
      .flatMap((line, number) => (replaced.some((word) => word.test(line)) ? [`${file}:${number + 1}: ${line}`] : [])),
  );
  expect(found).toEqual([]);
});
