import type { TableSchema } from '../../definition/table-schema.ts';
import { strictTokens } from '../../mysql/guard/strict-tokens.ts';
import { assertPlainCondition } from '../../mysql/guard/statement-guard.ts';
import { quoteIdentifier } from '../../postgres/rows/tables.ts';

/** A condition on the columns of one table, in the SQL of each side. */
export interface Condition {
  readonly source: string;
  readonly target: string;
}

/** Words that PostgreSQL spells differently. LIKE at a source rarely respects case. To compare a row too many does no harm. */
const otherWords: Readonly<Record<string, string>> = { LIKE: 'ilike', DIV: '/', MOD: '%', XOR: '<>' };
const otherSymbols: Readonly<Record<string, string>> = { '<=>': 'is not distinct from' };

/**
 * Parses a condition and rewrites it for PostgreSQL, where it only narrows down which rows are compared. If a row matches there and not
 * at the source, the source is asked for it by key. Raises refused for anything but a plain condition.
 */
export function readCondition(text: string, { columns }: TableSchema): Condition {
  assertPlainCondition(
    text,
    columns.map(({ name }) => name),
  );
  const named = new Map(columns.map(({ name }) => [name.toLowerCase(), quoteIdentifier(name)]));
  const tokens = strictTokens(text);
  const target = tokens
    .map(({ kind, text }, index) => {
      const isCall = kind === 'word' && tokens[index + 1]?.text === '(' && text !== 'IN' && !isOperator(text);
      if (kind === 'name') return `t.${named.get(text.slice(1, -1).replaceAll('``', '`').toLowerCase())}`;
      if (kind === 'word' && !isCall && named.has(text.toLowerCase()) && !isOperator(text))
        return `t.${named.get(text.toLowerCase())}`;
      if (kind === 'word') return otherWords[text] ?? text.toLowerCase();
      if (kind === 'literal') return literal(text);
      return otherSymbols[text] ?? text;
    })
    .join(' ');
  return { source: text, target: `(${target})` };
}

const operators = new Set([
  'AND',
  'OR',
  'NOT',
  'IN',
  'IS',
  'LIKE',
  'BETWEEN',
  'XOR',
  'DIV',
  'MOD',
  'NULL',
  'TRUE',
  'FALSE',
]);

function isOperator(word: string): boolean {
  return operators.has(word);
}

function literal(text: string): string {
  const bytes = /^(?:(_utf8mb4) )?(?:x'([0-9a-f]*)'|0x([0-9a-f]+))$/i.exec(text);
  if (bytes !== null) {
    const hex = bytes[2] ?? bytes[3] ?? '';
    return bytes[1] === undefined ? `'\\x${hex}'::bytea` : `convert_from('\\x${hex}', 'UTF8')`;
  }
  // The source doubles a backslash in a text literal.
  return text.startsWith("'") ? text.replaceAll('\\\\', '\\') : text;
}
