import type { ColumnRule } from '../definition/column-rule.ts';
import { globPattern } from './table-filter.ts';

/** An entry of COLUMN_RULES: globs of the table and column names, and the rule. */
export interface RulePattern {
  readonly table: string;
  readonly column: string;
  readonly rule: ColumnRule;
}

/** Parses COLUMN_RULES. A problem names an entry by its number, because its text may be something pasted by mistake. */
export function parseColumnRules(text: string): { rules: RulePattern[]; problems: string[] } {
  const rules: RulePattern[] = [];
  const problems: string[] = [];
  const entries = text.split(',').map((entry) => entry.trim());
  for (const [index, entry] of entries.entries()) {
    if (entry === '') continue;
    const parsed = parseEntry(entry);
    if (typeof parsed === 'string') problems.push(`entry ${index + 1} ${parsed}`);
    else rules.push(parsed);
  }
  return { rules, problems };
}

/** Finds the rule of a column: the first entry whose globs match both names wins. */
export function ruleFinder(
  patterns: readonly RulePattern[],
): (table: string, column: string) => ColumnRule | undefined {
  const globs = patterns.map(({ table, column, rule }) => ({
    table: globPattern(table),
    column: globPattern(column),
    rule,
  }));
  return (table, column) => globs.find((glob) => glob.table.test(table) && glob.column.test(column))?.rule;
}

function parseEntry(entry: string): RulePattern | string {
  const [names = '', rule, ...parameter] = entry.split('=').map((part) => part.trim());
  const [table = '', column = '', ...more] = names.split('.').map((part) => part.trim());
  if (rule === undefined || table === '' || column === '' || more.length > 0)
    return 'must be table.column=rule (? stands for a dot, a comma or an equals sign in a name)';
  const parsed = parseRule(rule.toLowerCase(), parameter.length === 0 ? null : parameter.join('='));
  return typeof parsed === 'string' ? parsed : { table, column, rule: parsed };
}

function parseRule(kind: string, parameter: string | null): ColumnRule | string {
  switch (kind) {
    case 'boolean':
    case 'text':
    case 'jsonb':
    case 'omit':
      return parameter === null ? { kind } : `has text behind ${kind}: remove it`;
    case 'local':
      return parameter !== null && isTimeZone(parameter)
        ? { kind, zone: parameter }
        : 'must be local= and an IANA time zone, as in local=America/New_York';
    case 'null':
      return parameter !== null && isCalendarDate(parameter)
        ? { kind, date: parameter }
        : 'must be null= and a calendar date, as in null=0001-01-01';
    default:
      return 'has no known rule: boolean, text, jsonb, omit, local=<time zone> or null=<date>';
  }
}

/**
 * Whether `name` is a time zone. Offsets such as +02:00, which Intl also accepts, are refused: they have no daylight saving time.
 */
function isTimeZone(name: string): boolean {
  if (!/^[a-z]/i.test(name)) return false;
  try {
    Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** Accepts the years 0001 to 9999. Dates of other years become NULL without a rule. */
function isCalendarDate(text: string): boolean {
  const date = new Date(`${text}T00:00:00Z`);
  return /^\d{4}-\d\d-\d\d$/.test(text) && !text.startsWith('0000') && date.toJSON()?.slice(0, 10) === text;
}
