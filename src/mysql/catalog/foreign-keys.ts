import type { Cascade } from '../../definition/table-schema.ts';
import { type Token, tokenize } from '../tokenize.ts';

const changing = new Set(['CASCADE', 'SET']);

/**
 * The foreign keys of a table that delete or change its rows when a row elsewhere is deleted or changed. They are read from the output of
 * SHOW CREATE TABLE, because information_schema shows them only to accounts with more than read privileges.
 */
export function readCascades(createTable: string): Cascade[] {
  const tokens = tokenize(createTable);
  const cascades: Cascade[] = [];
  for (let at = 0; at < tokens.length; at++) {
    if (!isWord(tokens[at], 'FOREIGN') || !isWord(tokens[at + 1], 'KEY')) continue;
    const constraint = isWord(tokens[at - 2], 'CONSTRAINT') ? (tokens[at - 1]?.raw ?? '') : '';
    const end = clauseEnd(tokens, at);
    const cascade = readCascade(constraint, tokens.slice(at, end));
    if (cascade.onDelete || cascade.onUpdate) cascades.push(cascade);
    at = end;
  }
  return cascades;
}

function readCascade(constraint: string, clause: readonly Token[]): Cascade {
  const references = clause.findIndex((token) => isWord(token, 'REFERENCES'));
  const opening = clause.findIndex((token, index) => index > references && isSymbol(token, '('));
  const closing = clause.findIndex((token, index) => index > opening && isSymbol(token, ')'));
  const names = clause.slice(references + 1, opening).filter(({ kind }) => kind !== 'symbol');
  const action = (event: string) => {
    const on = clause.findIndex(
      (token, index) => index > closing && isWord(token, 'ON') && isWord(clause[index + 1], event),
    );
    return on >= 0 && changing.has(clause[on + 2]?.text ?? '');
  };
  return {
    constraint,
    parentDatabase: names.length > 1 ? (names[0]?.raw ?? null) : null,
    parent: names.at(-1)?.raw ?? '',
    columns: clause
      .slice(opening + 1, closing)
      .filter(({ kind }) => kind !== 'symbol')
      .map(({ raw }) => raw),
    onDelete: action('DELETE'),
    onUpdate: action('UPDATE'),
  };
}

/** The end of the clause that starts at `start`: a comma, or the closing parenthesis of the table itself. */
function clauseEnd(tokens: readonly Token[], start: number): number {
  let depth = 0;
  for (let at = start; at < tokens.length; at++) {
    const token = tokens[at];
    if (isSymbol(token, '(')) depth++;
    else if (depth > 0 && isSymbol(token, ')')) depth--;
    else if (depth === 0 && (isSymbol(token, ',') || isSymbol(token, ')'))) return at;
  }
  return tokens.length;
}

function isWord(token: Token | undefined, text: string): boolean {
  return token?.kind === 'word' && token.text === text;
}

function isSymbol(token: Token | undefined, text: string): boolean {
  return token?.kind === 'symbol' && token.text === text;
}
