/**
 * A token of a statement that is to be sent. `word` is a bare name or keyword. `name` is a name in backquotes. `literal` is a number, a
 * text in single quotes, or bytes in hex. `global` is a system variable and `variable` a user variable. `symbol` is an operator.
 */
export interface StrictToken {
  readonly kind: 'word' | 'name' | 'literal' | 'global' | 'variable' | 'symbol';
  /** Upper case for words and variables, otherwise as written. */
  readonly text: string;
  /** Where it starts, in UTF-16 units from 0. */
  readonly at: number;
}

/** Longer than any statement of ours, in UTF-16 units. The longest ones hold two GTID sets or a thousand columns. */
const longest = 1_048_576;

/**
 * The lexemes that every server reads in the same way, whatever its sql_mode and character set. Left out on purpose:
 *
 * - text in double quotes (a name under ANSI_QUOTES)
 * - a backslash that escapes anything but itself (NO_BACKSLASH_ESCAPES)
 * - comments of every kind (servers execute some)
 * - `;`, `:=` and `{fn …}`
 * - non-ASCII characters outside quotes
 */
const lexeme = new RegExp(
  [
    String.raw`(?<space>[ \t\r\n]+)`,
    String.raw`(?<bytes>(?:_utf8mb4 )?x'(?:[0-9a-fA-F]{2})*'|0x[0-9a-fA-F]+)`,
    String.raw`(?<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)`,
    String.raw`(?<word>[A-Za-z_][A-Za-z0-9_]*)`,
    '(?<name>`(?:[^`\\0]|``)+`)',
    String.raw`(?<string>'(?:[^'\\\x00-\x1f\x7f]|''|\\\\)*')`,
    String.raw`(?<global>@@global\.[a-z_]+)`,
    String.raw`(?<variable>@[a-z_]+)`,
    String.raw`(?<symbol><=>|<=|>=|<>|!=|[=<>+%(),.@]|-(?!-)|\*(?!\/)|\/(?!\*))`,
  ].join('|'),
  'iy',
);
/** Characters that must not follow a name or a literal without a space, because they would change its meaning. */
const glued = /[\w$'"`\\#\u0080-\uffff]/;

/** A text breaks a rule. The error shows nothing of the text, because the text may hold values. */
export class RuleBroken extends Error {
  readonly rule: string;
  /** The offset, in UTF-16 units from 0. */
  readonly at: number;

  constructor(rule: string, at: number) {
    super(rule);
    this.rule = rule;
    this.at = at;
  }
}

/** Raises RuleBroken. */
export function strictTokens(sql: string): StrictToken[] {
  if (sql.length > longest) throw new RuleBroken('it is longer than a million characters', longest);
  const tokens: StrictToken[] = [];
  let at = 0;
  while (at < sql.length) {
    lexeme.lastIndex = at;
    const groups = lexeme.exec(sql)?.groups;
    if (groups === undefined) throw new RuleBroken(ruleAgainst(sql, at), at);
    const next = lexeme.lastIndex;
    const token = asToken(groups, at);
    if (token !== null) {
      tokens.push(token);
      const follower = sql[next] ?? '';
      // A role has the form `name`@`host`.
      if (token.kind !== 'symbol' && (glued.test(follower) || (follower === '@' && token.kind !== 'name')))
        throw new RuleBroken('two words or literals without a space between', next);
    }
    at = next;
  }
  return tokens;
}

function asToken(groups: Record<string, string | undefined>, at: number): StrictToken | null {
  const { word, name, global, variable, symbol } = groups;
  if (word !== undefined) return { kind: 'word', text: word.toUpperCase(), at };
  if (name !== undefined) return { kind: 'name', text: name, at };
  if (symbol !== undefined) return { kind: 'symbol', text: symbol, at };
  if (global !== undefined) return { kind: 'global', text: global.toUpperCase(), at };
  if (variable !== undefined) return { kind: 'variable', text: variable.toUpperCase(), at };
  const literal = groups['number'] ?? groups['string'] ?? groups['bytes'];
  return literal === undefined ? null : { kind: 'literal', text: literal, at };
}

/** The rule that a text breaks where no lexeme starts. */
function ruleAgainst(sql: string, at: number): string {
  const rest = sql.slice(at, at + 2);
  if (rest === '/*' || rest === '*/' || rest === '--' || rest.startsWith('#')) return 'comments of any kind';
  if (rest.startsWith(';')) return 'more than one statement';
  if (rest === ':=') return 'assignments to variables';
  if (rest.startsWith('"')) return 'double quotes; put a text in single quotes and a name in backquotes';
  if (rest.startsWith("'") || rest.startsWith('`'))
    return 'a quote that is not closed, or a text with control characters or a backslash that is not doubled';
  if (rest === '||' || rest === '&&' || rest.startsWith('!')) return 'operators that are not words; use and, or, not';
  if (/^[^ -~]/.test(rest)) return 'characters outside quotes that are not plain ASCII';
  return 'a character that has no meaning here';
}
