/**
 * A token of an SQL statement as MySQL and MariaDB lex it. `word` is an unquoted keyword or name. `name` is a quoted name without its
 * quotes. `string` and `number` are literals; their text is dropped because no reader needs it. `symbol` is one character.
 */
export interface Token {
  readonly kind: 'word' | 'name' | 'string' | 'number' | 'symbol';
  /** Upper case for words, as written for names and symbols, empty for literals. */
  readonly text: string;
  /** As written, for words that turn out to be names. */
  readonly raw: string;
}

const wordStart = /[A-Za-z_$\u0080-\uffff]/;
const wordPart = /[A-Za-z0-9_$\u0080-\uffff]/;
const digit = /[0-9]/;
/** Other white space, such as U+00A0, is part of a name. */
const space = /[ \t\n\v\f\r]/;

/** The parts of sql_mode that decide where a quoted run ends. */
export interface QuotingMode {
  /** ANSI_QUOTES: double quotes enclose names, not strings. */
  readonly ansiQuotes: boolean;
  /** The absence of NO_BACKSLASH_ESCAPES: a backslash in a string escapes the next character. */
  readonly backslashEscapes: boolean;
}

const usual: QuotingMode = { ansiQuotes: false, backslashEscapes: true };

/**
 * Splits a statement into tokens (https://dev.mysql.com/doc/refman/8.4/en/language-structure.html). Comments are dropped. Executable
 * comments (`/*!40101 … *\/`, `/*M! … *\/`) are code: their content is tokenized as if the comment signs were absent.
 */
export function tokenize(sql: string, mode = usual): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < sql.length) {
    const char = sql[at] as string;
    if (space.test(char)) at++;
    else if (char === '#' || (char === '-' && sql[at + 1] === '-' && /\s|^$/.test(sql[at + 2] ?? '')))
      at = lineEnd(sql, at);
    else if (char === '/' && sql[at + 1] === '*') at = afterComment(sql, at);
    else if (char === '*' && sql[at + 1] === '/') at += 2;
    else if (char === '`' || char === "'" || char === '"') {
      const isName = char === '`' || (char === '"' && mode.ansiQuotes);
      const { text, next } = quoted(sql, at, !isName && mode.backslashEscapes);
      tokens.push(isName ? { kind: 'name', text, raw: text } : { kind: 'string', text: '', raw: '' });
      at = next;
    } else if (digit.test(char)) {
      const next = runEnd(sql, at, wordPart);
      const raw = sql.slice(at, next);
      // A name may begin with a digit, but not consist of digits only.
      const isNumber = /^([0-9]+|0x[0-9a-fA-F]+|[0-9]+[eE][0-9]*)$/.test(raw);
      tokens.push(isNumber ? { kind: 'number', text: '', raw: '' } : { kind: 'word', text: raw.toUpperCase(), raw });
      at = next;
    } else if (wordStart.test(char)) {
      const next = runEnd(sql, at, wordPart);
      const raw = sql.slice(at, next);
      tokens.push({ kind: 'word', text: raw.toUpperCase(), raw });
      at = next;
    } else {
      tokens.push({ kind: 'symbol', text: char, raw: char });
      at++;
    }
  }
  return tokens;
}

function runEnd(sql: string, at: number, part: RegExp): number {
  while (at < sql.length && part.test(sql[at] as string)) at++;
  return at;
}

function lineEnd(sql: string, at: number): number {
  const end = sql.indexOf('\n', at);
  return end < 0 ? sql.length : end + 1;
}

/** The offset after a comment, or after the opening and version number of an executable comment. */
function afterComment(sql: string, at: number): number {
  const executable = /^\/\*M?!\d*/.exec(sql.slice(at, at + 12));
  if (executable !== null) return at + executable[0].length;
  const end = sql.indexOf('*/', at + 2);
  return end < 0 ? sql.length : end + 2;
}

/** Reads a quoted run. A doubled quote stands for one quote. */
function quoted(sql: string, start: number, escapes: boolean): { text: string; next: number } {
  const quote = sql[start] as string;
  let text = '';
  let at = start + 1;
  while (at < sql.length) {
    const char = sql[at] as string;
    if (char === '\\' && escapes) {
      text += sql[at + 1] ?? '';
      at += 2;
    } else if (char !== quote) {
      text += char;
      at++;
    } else if (sql[at + 1] === quote) {
      text += quote;
      at += 2;
    } else {
      return { text, next: at + 1 };
    }
  }
  return { text, next: sql.length };
}
