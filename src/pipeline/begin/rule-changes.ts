import { type ColumnRule, formatRule } from '../../definition/column-rule.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { type KnownTable, isFollowed } from '../../postgres/control/table-states.ts';
import type { Selection } from './table-plan.ts';

/** The most columns that an error names. */
const named = 10;

/**
 * Makes sure that tables keep the column rules they were started with. Otherwise earlier rows would keep values of the old rules, and
 * the columns at the target would not fit. Tables that are not followed or no longer selected are not checked. Raises config.
 */
export function assertSameRules(known: readonly KnownTable[], { isSelected, ruleOf }: Selection): void {
  const changes = known
    .filter((table) => isFollowed(table) && isSelected(table.table))
    .flatMap(({ table, schema }) =>
      schema.columns
        // No rule matters to a column that was left out anyway.
        .filter(({ perSession }) => perSession === undefined)
        .map(({ name, rule }) => ({ name, was: inWords(rule), is: inWords(ruleOf(table, name)) }))
        .filter(({ was, is }) => was !== is)
        .map(({ name, was, is }) => `${table}.${name} was copied by ${was} and now has ${is}`),
    );
  if (changes.length === 0) return;
  const more = changes.length > named ? `; and ${changes.length - named} more` : '';
  throw new TidegateError('config', `COLUMN_RULES has changed: ${changes.slice(0, named).join('; ')}${more}`, {
    hint: 'Restore the earlier rules. Or run `tidegate reset`, then `tidegate run`, which copies everything by the new rules.',
  });
}

function inWords(rule: ColumnRule | undefined): string {
  return rule === undefined ? 'no rule' : `rule ${formatRule(rule)}`;
}
