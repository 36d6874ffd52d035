import { environmentSchema, secretNames } from './environment.ts';

const known = [...Object.keys(environmentSchema.shape), ...secretNames.map((name) => `${name}_FILE`)];
/** Two slips in a short name make another word: LISTENER is somebody else's. */
const shortName = 8;

/** Of variables that are no settings but are spelled nearly like one: what to say of each. Only names, never values. */
export function nearMisses(environment: NodeJS.ProcessEnv): string[] {
  return Object.entries(environment).flatMap(([name, value]) => {
    if (value === undefined || value === '' || known.includes(name)) return [];
    const upper = name.toUpperCase();
    // Windows ignores case, and so does Node there: then this is the setting.
    if (known.includes(upper) && environment[upper] === value) return [];
    const meant = known
      .map((setting) => ({ setting, slips: slips(upper, setting) }))
      .filter(({ setting, slips }) => slips <= (setting.length < shortName ? 1 : 2))
      .toSorted((a, b) => a.slips - b.slips)[0];
    return meant === undefined ? [] : [`${name} is no setting; is ${meant.setting} meant?`];
  });
}

/** How many letters must be put in, taken out, changed or swapped with their neighbour to make `b` of `a` (optimal string alignment). */
function slips(a: string, b: string): number {
  // Longer by more is farther away by more, and all variables there are come through here.
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
