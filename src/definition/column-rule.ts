/**
 * The mapping of one column that the operator chose instead of the default for its type. It is stored with the schema version, so
 * that rows of two rules never mix in one table.
 */
export type ColumnRule =
  /** tinyint: 0 is false, 1 is true, and no other value is allowed. */
  | { readonly kind: 'boolean' }
  /** The server's own text of the value. */
  | { readonly kind: 'text' }
  /** char, varchar, text: the JSON document that the text is. */
  | { readonly kind: 'jsonb' }
  /** timestamp: the local time in an IANA time zone. */
  | { readonly kind: 'local'; readonly zone: string }
  /** A date that means 'none' becomes NULL. `date` is YYYY-MM-DD. */
  | { readonly kind: 'null'; readonly date: string }
  /** The column is not replicated. */
  | { readonly kind: 'omit' };

/** Formats a rule as in COLUMN_RULES. */
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
