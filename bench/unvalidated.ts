import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = '.cache/unvalidated';

/** A check in the compiled program, and its replacement. */
interface Cut {
  readonly file: string;
  readonly check: RegExp;
  readonly instead: string;
}

const cuts: readonly Cut[] = [
  // The bytes of all lines are UTF-8.
  { file: 'src/postgres/rows/line-check.js', check: /if \(isUtf8\(lines\)\)/, instead: 'if (true)' },
  // An image contains every column.
  {
    file: 'src/mysql/binlog/row-reader.js',
    check: /while \(first < schema\.length && isPresent\(first\)\)\s*first\+\+;/,
    instead: 'first = schema.length;',
  },
  // No key value had to be converted.
  { file: 'src/mysql/binlog/row-events.js', check: /= convertedKeyColumn\(table\.codec\);/, instead: '= null;' },
  // A date is in the calendar. That zero dates become NULL belongs to the mapping, so it stays.
  { file: 'src/mapping/temporal-text.js', check: /return day <= 28 \|\| [^\n]*;/, instead: 'return true;' },
];

/** The checks of values against their type: ranges and formats, in every family of the mapping. */
const valueCheck = /if \([^\n]*\)\n\s*throw new InvalidValue\([^\n]*\);/g;

/**
 * Makes a copy of the compiled program without its checks of rows and otherwise unchanged, so that the two can be compared.
 * Returns the path of the program from the root of this checkout. Throws if a check is not found: then these patterns must be
 * fixed.
 */
export function cutValidation(): string {
  rmSync(`${root}${folder}`, { recursive: true, force: true });
  cpSync(`${root}dist`, `${root}${folder}`, { recursive: true });
  for (const { file, check, instead } of cuts) rewrite(file, (code) => replaced(code, check, instead, file));
  let values = 0;
  for (const name of readdirSync(`${root}${folder}/src/mapping`)) {
    if (!name.endsWith('.js')) continue;
    rewrite(`src/mapping/${name}`, (code) =>
      code.replaceAll(valueCheck, () => {
        values++;
        return '';
      }),
    );
  }
  if (values < 8) throw new Error(`only ${values} checks of values were found in the compiled program`);
  return `${folder}/src/cli.js`;
}

export function removeUnvalidated(): void {
  rmSync(`${root}${folder}`, { recursive: true, force: true });
}

function rewrite(file: string, change: (code: string) => string): void {
  const path = `${root}${folder}/${file}`;
  writeFileSync(path, change(readFileSync(path, 'utf8')));
}

function replaced(code: string, check: RegExp, instead: string, file: string): string {
  if (!check.test(code)) throw new Error(`the compiled ${file} holds no ${check.source}`);
  return code.replace(check, instead);
}
