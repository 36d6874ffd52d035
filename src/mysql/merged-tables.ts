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
  const list = tokens.slice(union + 1);
  const accept = (symbol: string) => {
    const isNext = list[0]?.kind === 'symbol' && list[0].text === symbol;
    if (isNext) list.shift();
    return isNext;
  };
  const name = () => list.shift()?.raw ?? '';
  accept('=');
  if (!accept('(')) return [];
  const tables: TableName[] = [];
  do {
    const first = name();
    tables.push(accept('.') ? { database: first, table: name() } : { database, table: first });
  } while (accept(','));
  return accept(')') ? tables : [];
}
