import { environmentSchema, secretNames } from './environment.ts';

const settings = Object.keys(environmentSchema.shape);
const known = [...settings, ...secretNames.map((name) => `${name}_FILE`)];
/** With two slips a short name becomes another word: LISTENER belongs to another program. */
const shortName = 8;

/** Reports variables that are not settings but are spelled nearly like one. The texts hold names only, never values. */
export function nearMisses(environment: NodeJS.ProcessEnv): string[] {
  return Object.entries(environment).flatMap(([name, value]) => {
    if (value === undefined || value === '' || known.includes(name)) return [];
    const upper = name.toUpperCase();
    // Windows ignores case, and so does Node on Windows: this variable is then the setting itself.
    if (known.includes(upper) && environment[upper] === value) return [];
    const meant = nearest(name, known);
    return meant === undefined ? [] : [`${name} is not a setting; is ${meant} meant?`];
  });
}

/** The first words of names that are Tidegate's, as a rule. Kubernetes and compose files make such variables, too. */
const ownPrefix = /^(SOURCE|TARGET|TABLES)_/;
/** Belongs to builds: https://reproducible-builds.org/specs/source-date-epoch */
const foreign = ['SOURCE_DATE_EPOCH'];
const mostMeant = 4;

/** Reports variables that look like settings, are none, and are not spelled like one. The texts hold names only, never values. */
export function unknownSettings(environment: NodeJS.ProcessEnv): string[] {
  return Object.entries(environment).flatMap(([name, value]) => {
    if (value === undefined || value === '' || known.includes(name) || foreign.includes(name)) return [];
    if (!ownPrefix.test(name)) return [];
    const meant = mostAlike(name);
    return [`${name} is not a setting${meant.length === 0 ? '' : `; is ${meant.join(' or ')} meant?`}`];
  });
}

/** The settings that share the first word and the most others with a name. */
function mostAlike(name: string): string[] {
  const words = name.split('_');
  const alike = settings
    .filter((setting) => setting.split('_')[0] === words[0])
    .map((setting) => ({ setting, shared: setting.split('_').filter((word) => words.includes(word)).length }));
  const most = Math.max(...alike.map(({ shared }) => shared));
  const meant = alike.filter(({ shared }) => shared === most).map(({ setting }) => setting);
  return meant.length > mostMeant ? [] : meant;
}

/** The nearest of the names, if it is spelled nearly like the other one; case is ignored. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  return names
    .map((other) => ({ other, slips: slips(name.toLowerCase(), other.toLowerCase()) }))
    .filter(({ other, slips }) => slips <= (other.length < shortName ? 1 : 2))
    .toSorted((a, b) => a.slips - b.slips)[0]?.other;
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
