import type { ColumnSchema } from '../definition/table-schema.ts';
import type { Refusal } from './codec.ts';

/** What the catalog prints behind a backslash. */
const memberEscapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', '0': '\0', '\\': '\\' };
/** A member in its quotes: quotes doubled, backslash and line ends escaped. */
const member = /'((?:[^'\\]|''|\\[^])*)'/y;

/**
 * Character sets with characters that the catalog, whose own is utf8mb3, cannot print, or with bytes that are none. It prints a question
 * mark for them, and MySQL 5.6 no more of the list.
 */
const beyondCatalog = new Set(['utf8mb4', 'utf16', 'utf16le', 'utf32', 'gb18030', 'binary']);

/** The members of an enum or a set as the catalog prints its type, `enum('a','it''s')`, or why they are not known from there. */
export function readMembers({ fullType, charset }: ColumnSchema): string[] | Refusal {
  const members: string[] = [];
  let at = fullType.indexOf('(');
  do {
    member.lastIndex = at + 1;
    const found = member.exec(fullType);
    if (found === null) return { refused: 'the catalog does not print its members' };
    members.push(
      (found[1] ?? '').replace(/''|\\([^])/g, (_, escaped?: string) =>
        escaped === undefined ? "'" : (memberEscapes[escaped] ?? escaped),
      ),
    );
    at = member.lastIndex;
  } while (fullType[at] === ',');
  if (fullType[at] !== ')') return { refused: 'the catalog does not print its members' };
  if (beyondCatalog.has(charset ?? '') && members.some((text) => text.includes('?')))
    return {
      refused: 'a ? in its members, as the catalog prints them, may stand for a character that it cannot print',
    };
  return members;
}
