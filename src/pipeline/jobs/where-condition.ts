import type { TableSchema } from '../../definition/table-schema.ts';
import { strictTokens } from '../../mysql/guard/strict-tokens.ts';
import { assertPlainCondition } from '../../mysql/guard/statement-guard.ts';
import { quoteIdentifier } from '../../postgres/rows/tables.ts';

/** A condition on the columns of one table, for each side. */
export interface Condition {
  readonly source: string;
  readonly target: string;
}

/** Words that PostgreSQL spells in another way. LIKE at a source rarely minds case; one row too many is looked at and no harm done. */
const otherWords: Readonly<Record<string, string>> = { LIKE: 'ilike', DIV: '/', MOD: '%', XOR: '<>' };
const otherSymbols: Readonly<Record<string, string>> = { '<=>': 'is not distinct from' };

/**
 * Takes a condition apart and writes it anew for PostgreSQL, where it only narrows down which rows are compared: of a row that it
 * takes there and not at the source, the source is asked by key. Raises refused for what is no plain condition.
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
  // A backslash stands doubled in a text of the source's.
  return text.startsWith("'") ? text.replaceAll('\\\\', '\\') : text;
}
