/**
 * What the operator wants of one column instead of the usual mapping of its type. Stored with the schema version, so that rows
 * of two rules never meet in one table.
 */
export type ColumnRule =
  /** tinyint: 0 is false, 1 is true, and nothing else may be there. */
  | { readonly kind: 'boolean' }
  /** The server's own text of the value. */
  | { readonly kind: 'text' }
  /** char, varchar, text: the JSON document that it is. */
  | { readonly kind: 'jsonb' }
  /** timestamp: what the clocks of an IANA time zone showed then. */
  | { readonly kind: 'local'; readonly zone: string }
  /** A date that stands for none: NULL. `date` is YYYY-MM-DD. */
  | { readonly kind: 'null'; readonly date: string }
  /** The column is not carried. */
  | { readonly kind: 'omit' };

/** A rule as it is written in COLUMN_RULES. */
export function formatRule(rule: ColumnRule): string {
  switch (rule.kind) {
    case 'local':
      return `local=${rule.zone}`;
    case 'null':
      return `null=${rule.date}`;
    default:
      return rule.kind;
  }
}
