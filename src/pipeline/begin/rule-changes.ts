import { type ColumnRule, formatRule } from '../../definition/column-rule.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { type KnownTable, isFollowed } from '../../postgres/control/table-states.ts';
import type { Selection } from './table-plan.ts';

/** How many columns an error names. */
const named = 10;

/**
 * Makes sure that tables go on by the rules they were begun with: rows of before would stay as they are, and the columns at the
 * target would not fit. Tables that are not followed, and those about to be none, need not agree. Raises config.
 */
export function assertSameRules(known: readonly KnownTable[], { isSelected, ruleOf }: Selection): void {
  const changes = known
    .filter((table) => isFollowed(table) && isSelected(table.table))
    .flatMap(({ table, schema }) =>
      schema.columns
        .map(({ name, rule }) => ({ name, was: inWords(rule), is: inWords(ruleOf(table, name)) }))
        .filter(({ was, is }) => was !== is)
        .map(({ name, was, is }) => `${table}.${name} was copied by ${was} and now has ${is}`),
    );
  if (changes.length === 0) return;
  const more = changes.length > named ? `; and ${changes.length - named} more` : '';
  throw new TidegateError(
    'config',
    `COLUMN_RULES is another than before: ${changes.slice(0, named).join('; ')}${more}`,
    {
      hint: 'Put the rules back as they were; or run `tidegate reset` and then `tidegate run`, which copies everything by the new ones.',
    },
  );
}

function inWords(rule: ColumnRule | undefined): string {
  return rule === undefined ? 'no rule' : `rule ${formatRule(rule)}`;
}
