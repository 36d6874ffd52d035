import type { SeededRandom } from '../../testing/random/seeded-random.ts';

/** Invented names and sentences, built from syllables; no real person has such a name. */
const heads = ['Bra', 'Dol', 'Fen', 'Gri', 'Hul', 'Kre', 'Lom', 'Mü', 'Nos', 'Quo', 'Ré', 'Sto', 'Tja', 'Vul', 'Zö'];
const middles = ['ba', 'di', 'fo', 'ge', 'lu', 'mi', 'no', 'ra', 'sa', 'té', 'vo'];
const tails = ['bert', 'dorf', 'gan', 'ko', 'lin', 'mar', 'nek', 'rin', 'stå', 'vic', 'wen'];
const words = ['crown', 'recall', 'molar', 'x-ray', 'asked', 'for', 'later', 'fluoride', 'called', 'no', 'answer', 'check', 'sealant', 'upper', 'left', 'prefers', 'mornings']; // prettier-ignore
/** Text that breaks loaders: line ends of three kinds, tabs, backslashes, quotes, a lone \N, control characters. */
const awkward = [
  '\r\n',
  '\n',
  '\t',
  '\\',
  '\\N',
  "it's",
  '"quoted"',
  'Ångström',
  'naïve',
  '\u0001',
  '  ',
  '\\n',
  ',;|',
];
const wide = ['🦷', '😬', '漢字', '𝄞'];

export function name(random: SeededRandom): string {
  return `${random.pick(heads)}${random.chance(0.5) ? random.pick(middles) : ''}${random.pick(tails)}`;
}

/** Free text that fits utf8mb3; with `emoji`, text that needs utf8mb4. */
export function note(random: SeededRandom, length = random.int(3, 14), emoji = false): string {
  const parts: string[] = [];
  for (let index = 0; index < length; index++) {
    const kind = random.next();
    if (kind < 0.9) parts.push(random.pick(words));
    else parts.push(random.pick(emoji && kind > 0.97 ? wide : awkward));
  }
  return parts.join(' ');
}

/** Text that fits latin1, which is Windows' code page 1252 here. */
export function latinNote(random: SeededRandom): string {
  return `${random.pick(['Stuhl', 'Röntgengerät', 'café', '€ 100', '“lamp”', 'naïve drill'])} ${random.int(1, 999)}`;
}

/** Money with cents, as a double. */
export function money(random: SeededRandom, high = 900): number {
  return random.int(0, high * 100) / 100;
}

const dayMs = 86_400_000;

/** The clinic's first day in the demo's calendar; it is fixed, so that a seed always produces the same rows. */
export const today = Date.UTC(2025, 2, 3);

export function date(daysFromToday: number): string {
  return new Date(today + daysFromToday * dayMs).toISOString().slice(0, 10);
}

export function dateTime(daysFromToday: number, random: SeededRandom): string {
  return `${date(daysFromToday)} ${clock(random.int(7, 18), random)}`;
}

export function clock(hour: number, random: SeededRandom): string {
  return `${two(hour)}:${two(random.int(0, 59))}:${two(random.int(0, 59))}`;
}

/** "Never", as the versions of twenty years have written it. */
export function never(random: SeededRandom): string {
  return random.chance(0.7) ? '0001-01-01' : '0000-00-00';
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
