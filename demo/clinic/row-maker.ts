import type { SeededRandom } from '../../testing/random/seeded-random.ts';

export type Value = string | number | bigint | Buffer | null;

export interface RowMaker {
  /** The number of rows in a practice of 2500 patients. */
  readonly rows: number;
  /** The values of one row by column; `id` counts from 1. */
  readonly row: (random: SeededRandom, id: number) => Readonly<Record<string, Value>>;
}

/** The row counts of tables that others refer to. */
export const patients = 2500;
export const procedures = 12_000;
export const codes = 300;
export const claims = 2500;
export const pat = (random: SeededRandom): number => random.int(1, patients);
export const prov = (random: SeededRandom): number => random.int(1, 12);
export const flag = (random: SeededRandom): number => (random.chance(0.2) ? 1 : 0);
export const maybe = (random: SeededRandom, text: string): string | null =>
  random.chance(0.3) ? null : random.chance(0.2) ? '' : text;
export const color = (random: SeededRandom): number => random.int(-16_777_216, -1);
