/** What had to change so that PostgreSQL could hold it. */
export type ConversionKind =
  /** A zero, part-zero or impossible date became NULL. */
  | 'date-to-null'
  /** U+0000 became U+FFFD. */
  | 'nul-replaced'
  /** A date that stands for none by a rule of its column became NULL. */
  | 'sentinel-to-null';

/** So many values of a column were converted. */
export interface Conversion {
  readonly column: string;
  readonly kind: ConversionKind;
  readonly count: number;
}
