import { RuleBroken, type StrictToken } from './strict-tokens.ts';

/** Bare words that start something that must not be sent. None of our tables, columns or aliases has such a name without quotes. */
const notNames = new Set([
  ...[
    'ALTER',
    'ANALYZE',
    'BINARY',
    'CALL',
    'CASE',
    'CREATE',
    'DEFAULT',
    'DELETE',
    'DROP',
    'DUMPFILE',
    'EXCEPT',
    'EXECUTE',
  ],
  ...[
    'EXISTS',
    'EXPLAIN',
    'FOR',
    'FROM',
    'GRANT',
    'GROUP',
    'HANDLER',
    'HAVING',
    'INSERT',
    'INTERSECT',
    'INTERVAL',
    'INTO',
  ],
  ...[
    'JOIN',
    'KILL',
    'LOAD',
    'LOCK',
    'MATCH',
    'NEXT',
    'NOWAIT',
    'ON',
    'OUTFILE',
    'OVER',
    'PREVIOUS',
    'PROCEDURE',
    'RENAME',
  ],
  ...[
    'REPLACE',
    'RETURNING',
    'REVOKE',
    'ROW',
    'SELECT',
    'SET',
    'SHARE',
    'SKIP',
    'TABLE',
    'TRUNCATE',
    'UNION',
    'UPDATE',
  ],
  ...['USING', 'VALUES', 'WAIT', 'WINDOW', 'WITH'],
  // Servers treat these as calls of the function.
  ...['CURRENT_DATE', 'CURRENT_TIME', 'CURRENT_TIMESTAMP', 'CURRENT_USER', 'CURRENT_ROLE', 'CURRENT_PATH', 'LOCALTIME'],
  ...['LOCALTIMESTAMP', 'ROWNUM', 'SYSDATE', 'UTC_DATE', 'UTC_TIME', 'UTC_TIMESTAMP'],
]);

/** Walks the tokens of a statement. An unexpected token breaks a rule. */
export class TokenWalker {
  readonly #tokens: readonly StrictToken[];
  readonly #end: number;
  #at = 0;

  /** `end` is the end of the text, which is the position of a missing token. */
  constructor(tokens: readonly StrictToken[], end: number) {
    this.#tokens = tokens;
    this.#end = end;
  }

  /** The next token, or the one `ahead` of it. */
  peek(ahead = 0): StrictToken | undefined {
    return this.#tokens[this.#at + ahead];
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#tokens.length;
  }

  next(): void {
    this.#at++;
  }

  /** Takes the next token if it is this word or symbol. */
  accept(text: string): boolean {
    const token = this.peek();
    if ((token?.kind !== 'word' && token?.kind !== 'symbol') || token.text !== text) return false;
    this.next();
    return true;
  }

  expect(text: string, rule: string): void {
    if (!this.accept(text)) throw this.broken(rule);
  }

  /** Takes the next token, which must be of this kind. */
  take(kind: StrictToken['kind'], rule: string): StrictToken {
    const token = this.peek();
    if (token?.kind !== kind) throw this.broken(rule);
    this.next();
    return token;
  }

  /** An error for a rule that the next token breaks, or its absence. */
  broken(rule: string): RuleBroken {
    return new RuleBroken(rule, this.peek()?.at ?? this.#end);
  }

  /** One or more, separated by commas. */
  list(one: () => void): void {
    do one();
    while (this.accept(','));
  }

  /** A name, in lower case without its quotes. */
  name(rule: string): string {
    const token = this.peek();
    if ((token?.kind !== 'word' || notNames.has(token.text)) && token?.kind !== 'name') throw this.broken(rule);
    this.next();
    return (token.kind === 'name' ? token.text.slice(1, -1).replaceAll('``', '`') : token.text).toLowerCase();
  }

  /** `name` or `name.name`. The first is null if there is only one. */
  qualifiedName(rule: string): [string | null, string] {
    const first = this.name(rule);
    return this.accept('.') ? [first, this.name(rule)] : [null, first];
  }
}
