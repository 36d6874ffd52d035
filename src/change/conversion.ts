/** How a value was changed so that PostgreSQL can hold it. */
export type ConversionKind =
  /** A zero, part-zero or impossible date became NULL. */
  | 'date-to-null'
  /** U+0000 became U+FFFD. */
  | 'nul-replaced'
  /** A date that means 'none' by the rule of its column became NULL. */
  | 'sentinel-to-null';

/** The number of converted values of a column. */
export interface Conversion {
  readonly column: string;
  readonly kind: ConversionKind;
  readonly count: number;
}
