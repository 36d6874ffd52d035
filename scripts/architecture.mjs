// Draws the picture in docs/architecture.md from the imports in src/, and names every import that breaks its rules.
//
//   node scripts/architecture.mjs            writes the picture
//   node scripts/architecture.mjs --check    writes nothing; exit code 1 if the picture is outdated or a rule is broken
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The layers, top first. A folder imports only from lower layers; mysql and postgres never import each other. */
const floors = [
  ['cli.ts', 'main.ts'],
  ['commands'],
  ['pipeline', 'monitoring'],
  ['mysql', 'postgres'],
  ['mapping'],
  ['change', 'config'],
  ['definition'],
  ['lifetime'],
  ['errors'],
];
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const page = join(root, 'docs', 'architecture.md');
const begin = '<!-- picture: npm run architecture -->';
const end = '<!-- /picture -->';

const imports = readImports();
const problems = [...arrowsUp(imports), ...circles(imports)];
for (const problem of problems) console.error(problem);

const text = readFileSync(page, 'utf8');
const drawn = withPicture(text, picture(imports));
if (!process.argv.includes('--check')) writeFileSync(page, drawn);
else if (drawn !== text) {
  console.error('docs/architecture.md: the picture is old; run `npm run architecture`');
  process.exitCode = 1;
}
if (problems.length > 0) process.exitCode = 1;

/** Each file of src/ with the files of src/ that it imports, including types. Tests beside the code do not count. */
function readImports() {
  const src = join(root, 'src');
  const files = readdirSync(src, { recursive: true })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .sort();
  return new Map(
    files.map((file) => {
      const code = readFileSync(join(src, file), 'utf8');
      const used = [...code.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)]
        .map(([, path]) => relative(src, join(src, dirname(file), path)))
        .filter((path) => !path.startsWith('..'));
      return [file, used];
    }),
  );
}

function folderOf(file) {
  return file.split('/')[0];
}

function floorOf(file) {
  const floor = floors.findIndex((folders) => folders.includes(folderOf(file)));
  if (floor === -1) throw new Error(`src/${file} is on no floor; scripts/architecture.mjs lists them`);
  return floor;
}

function arrowsUp(graph) {
  const wrong = [];
  for (const [file, used] of graph)
    for (const other of used)
      if (folderOf(file) !== folderOf(other) && floorOf(file) >= floorOf(other) && floorOf(file) > 0)
        wrong.push(`arrow up: src/${file} -> src/${other}`);
  return wrong;
}

/** Finds files that import each other, directly or through others (Tarjan's strongly connected components). */
function circles(graph) {
  const index = new Map();
  const low = new Map();
  const stack = [];
  const found = [];
  const visit = (file) => {
    index.set(file, index.size);
    low.set(file, index.get(file));
    stack.push(file);
    for (const other of graph.get(file) ?? []) {
      if (!index.has(other)) visit(other);
      if (stack.includes(other)) low.set(file, Math.min(low.get(file), low.get(other)));
    }
    if (low.get(file) !== index.get(file)) return;
    const circle = stack.splice(stack.indexOf(file));
    if (circle.length > 1) found.push(`circle: ${circle.map((name) => `src/${name}`).join(', ')}`);
  };
  for (const file of graph.keys()) if (!index.has(file)) visit(file);
  return found;
}

/** A Mermaid chart with a box for each folder and an arrow for each import from one folder to another. */
function picture(graph) {
  const folders = new Set();
  const arrows = new Set();
  for (const [file, used] of graph) {
    const folder = folderOf(file);
    folders.add(folder);
    for (const other of used)
      if (folderOf(other) !== folder) arrows.add(`  ${idOf(folder)} --> ${idOf(folderOf(other))}`);
  }
  const boxes = floors.flatMap((names, floor) => [
    `  subgraph floor${floor + 1}[" "]`,
    ...names.filter((name) => folders.has(name)).map((name) => `    ${idOf(name)}["${name}"]`),
    '  end',
  ]);
  return ['```mermaid', 'flowchart TD', ...boxes, ...[...arrows].toSorted((a, b) => a.localeCompare(b)), '```'].join(
    '\n',
  );
}

function idOf(folder) {
  return folder.replace('.', '_');
}

function withPicture(markdown, chart) {
  const [from, to] = [markdown.indexOf(begin), markdown.indexOf(end)];
  if (from === -1 || to === -1) throw new Error(`docs/architecture.md has no ${begin} … ${end}`);
  return `${markdown.slice(0, from + begin.length)}\n\n${chart}\n\n${markdown.slice(to)}`;
}
