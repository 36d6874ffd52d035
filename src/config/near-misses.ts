import { environmentSchema, secretNames } from './environment.ts';

const known = [...Object.keys(environmentSchema.shape), ...secretNames.map((name) => `${name}_FILE`)];
/** With two slips a short name becomes another word: LISTENER belongs to another program. */
const shortName = 8;

/** Reports variables that are not settings but are spelled nearly like one. The texts hold names only, never values. */
export function nearMisses(environment: NodeJS.ProcessEnv): string[] {
  return Object.entries(environment).flatMap(([name, value]) => {
    if (value === undefined || value === '' || known.includes(name)) return [];
    const upper = name.toUpperCase();
    // Windows ignores case, and so does Node on Windows: this variable is then the setting itself.
    if (known.includes(upper) && environment[upper] === value) return [];
    const meant = known
      .map((setting) => ({ setting, slips: slips(upper, setting) }))
      .filter(({ setting, slips }) => slips <= (setting.length < shortName ? 1 : 2))
      .toSorted((a, b) => a.slips - b.slips)[0];
    return meant === undefined ? [] : [`${name} is not a setting; is ${meant.setting} meant?`];
  });
}

/** The number of insertions, deletions, changes and swaps of neighbours that turn `a` into `b` (optimal string alignment). */
function slips(a: string, b: string): number {
  // A difference in length of more than 2 is already too far. This shortcut matters: every variable passes through here.
  if (Math.abs(a.length - b.length) > 2) return Infinity;
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number) => rows[i]?.[j] ?? Infinity;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      const changed = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped =
        i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? at(i - 2, j - 2) + 1 : Infinity;
      row.push(Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, changed, swapped));
    }
  }
  return at(a.length, b.length);
}
