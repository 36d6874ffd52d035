import type { Token } from './tokenize.ts';

export interface TableName {
  readonly database: string;
  readonly table: string;
}

/**
 * The tables that a MERGE table consists of: the names in parentheses after UNION, in a statement that creates, alters or shows the table.
 * A UNION of SELECTs has another form. `database` applies to names without one.
 */
export function readMergedTables(tokens: readonly Token[], database: string): TableName[] {
  const union = tokens.findIndex(({ kind, text }) => kind === 'word' && text === 'UNION');
  if (union < 0) return [];
  let at = union + 1;
  const accept = (symbol: string) => {
    const isNext = tokens[at]?.kind === 'symbol' && tokens[at]?.text === symbol;
    if (isNext) at++;
    return isNext;
  };
  const name = () => tokens[at++]?.raw ?? '';
  accept('=');
  if (!accept('(')) return [];
  const tables: TableName[] = [];
  do {
    const first = name();
    tables.push(accept('.') ? { database: first, table: name() } : { database, table: first });
  } while (accept(','));
  return accept(')') ? tables : [];
}
