import type { ColumnSchema } from '../../definition/table-schema.ts';
import { type Token, tokenize } from '../tokenize.ts';

/**
 * Invariant: a virtual column is replicated only if every session reads the same value from it. The binlog holds what the writing session
 * computed, and a select shows what the reader computes, so snapshot and stream would differ otherwise.
 *
 * The lists below name what depends on arguments alone. Whatever they do not name counts as dependent on the session, and so does every
 * argument of a kind that a setting changes: time_zone, sql_mode, lc_time_names, default_week_format, div_precision_increment and others.
 * `session-dependence.test.ts` asks both servers for each of their functions.
 */

/** Functions of numbers, texts and documents. */
const functions = new Set([
  ...['ABS', 'ACOS', 'ASIN', 'ATAN', 'ATAN2', 'CEIL', 'CEILING', 'COS', 'COT', 'DEGREES', 'EXP', 'FLOOR', 'LN'],
  ...['LOG', 'LOG10', 'LOG2', 'MOD', 'PI', 'POW', 'POWER', 'RADIANS', 'ROUND', 'SIGN', 'SIN', 'SQRT', 'TAN'],
  ...['TRUNCATE', 'BIN', 'BIT_COUNT', 'CONV', 'CRC32', 'FROM_BASE64', 'HEX', 'MD5', 'OCT', 'SHA', 'SHA1', 'SHA2'],
  ...['TO_BASE64', 'UNHEX', 'ASCII', 'BIT_LENGTH', 'CHARACTER_LENGTH', 'CHAR_LENGTH', 'CONCAT', 'CONCAT_WS', 'ELT'],
  ...['FIELD', 'FIND_IN_SET', 'INSERT', 'INSTR', 'LCASE', 'LEFT', 'LENGTH', 'LOCATE', 'LOWER', 'LPAD', 'LTRIM'],
  ...['MAKE_SET', 'MID', 'OCTET_LENGTH', 'ORD', 'POSITION', 'QUOTE', 'REPEAT', 'REPLACE', 'REVERSE', 'RIGHT', 'RPAD'],
  ...['RTRIM', 'SOUNDEX', 'SPACE', 'STRCMP', 'SUBSTR', 'SUBSTRING', 'SUBSTRING_INDEX', 'TRIM', 'UCASE', 'UPPER'],
  ...['COALESCE', 'GREATEST', 'IF', 'IFNULL', 'ISNULL', 'LEAST', 'NULLIF', 'NVL', 'NVL2', 'JSON_ARRAY'],
  ...['JSON_ARRAY_APPEND', 'JSON_ARRAY_INSERT', 'JSON_COMPACT', 'JSON_CONTAINS', 'JSON_CONTAINS_PATH', 'JSON_DEPTH'],
  ...['JSON_EXISTS', 'JSON_EXTRACT', 'JSON_INSERT', 'JSON_KEYS', 'JSON_LENGTH', 'JSON_MERGE_PATCH'],
  ...['JSON_MERGE_PRESERVE', 'JSON_NORMALIZE', 'JSON_OBJECT', 'JSON_OVERLAPS', 'JSON_QUERY', 'JSON_QUOTE'],
  ...['JSON_REMOVE', 'JSON_REPLACE', 'JSON_SEARCH', 'JSON_SET', 'JSON_TYPE', 'JSON_UNQUOTE', 'JSON_VALID'],
  ...['JSON_VALUE', 'INET6_ATON', 'INET6_NTOA', 'INET_ATON', 'INET_NTOA', 'IS_IPV4', 'IS_IPV6', 'IS_UUID'],
  ...['PERIOD_ADD', 'PERIOD_DIFF', 'CAST', 'CONVERT'],
]);
/** Functions of dates. Of a text, a number or a time of day, they make a date by sql_mode and by today's date. */
const dateFunctions = new Set([
  ...['DATEDIFF', 'DAY', 'DAYOFMONTH', 'DAYOFWEEK', 'DAYOFYEAR', 'EXTRACT', 'HOUR', 'LAST_DAY', 'MICROSECOND'],
  ...['MINUTE', 'MONTH', 'QUARTER', 'SECOND', 'TIMESTAMPDIFF', 'TO_DAYS', 'TO_SECONDS', 'WEEK', 'WEEKDAY'],
  ...['WEEKOFYEAR', 'YEAR', 'YEARWEEK'],
]);
/** Those whose second argument is a number: the mode of the week. WEEK without it uses default_week_format. */
const weekFunctions = new Set(['WEEK', 'YEARWEEK']);
const timeFunctions = new Set(['HOUR', 'MICROSECOND', 'MINUTE', 'SECOND', 'TIME_TO_SEC']);
/**
 * Functions that return one of their dates. A date of zeros is NULL to them in some modes, and NULL at the target in all. COALESCE would
 * take another date for it.
 */
const choices = new Set(['CAST', 'DATE', 'GREATEST', 'IF', 'LEAST', 'NULLIF']);

const keywords = new Set([
  ...['AND', 'OR', 'XOR', 'NOT', 'IS', 'NULL', 'TRUE', 'FALSE', 'BETWEEN', 'IN', 'LIKE', 'ESCAPE', 'DIV', 'MOD'],
  ...['CASE', 'WHEN', 'THEN', 'ELSE', 'END', 'AS', 'FROM', 'FOR', 'BOTH', 'LEADING', 'TRAILING'],
]);
/** Types that a cast may name after AS. */
const castTypes = new Set(['CHAR', 'SIGNED', 'UNSIGNED', 'DECIMAL', 'DOUBLE', 'FLOAT', 'JSON']);
/** Words before the name of a character set or a collation. */
const beforeCharset = new Set(['CHARSET', 'USING', 'COLLATE']);
const units = new Set(['YEAR', 'QUARTER', 'MONTH', 'WEEK', 'DAY', 'HOUR', 'MINUTE', 'SECOND']);
const operators = new Set(['(', ')', ',', '+', '-', '*', '%', '=', '<', '>', '!', '.', '&', '|', '^', '~']);

const integers = new Set(['tinyint', 'smallint', 'mediumint', 'int', 'bigint']);
const binary = new Set(['binary', 'varbinary', 'tinyblob', 'blob', 'mediumblob', 'longblob', 'bit']);

/** What an expression uses that matters as a whole, because one part can meet every other. */
interface Uses {
  /** Columns with a date that no function of dates takes. */
  readonly dates: ColumnSchema[];
  /** Other columns, texts and numbers that no function of dates takes. */
  others: boolean;
  choice: boolean;
  /** A date plus or minus an interval. */
  shift: boolean;
  /** A function outside of those of dates, or CASE. */
  call: boolean;
  subtraction: boolean;
  unsigned: boolean;
  bytes: boolean;
  toText: boolean;
}

/** Why a virtual column may have another value in another session; null: it cannot. Names columns and functions, but no literal. */
export function sessionDependence(
  column: ColumnSchema,
  expression: string,
  columns: readonly ColumnSchema[],
): string | null {
  const columnOf = new Map(columns.map((one) => [one.name.toLowerCase(), one]));
  return new Judge(column, tokenize(expression), columnOf).reason();
}

class Judge {
  readonly #column: ColumnSchema;
  readonly #tokens: readonly Token[];
  readonly #columnOf: ReadonlyMap<string, ColumnSchema>;
  /** The functions whose parentheses are open; null: parentheses without a function. */
  readonly #open: (string | null)[] = [];
  readonly #uses: Uses = {
    dates: [],
    ...{
      others: false,
      choice: false,
      shift: false,
      call: false,
      subtraction: false,
      unsigned: false,
      bytes: false,
      toText: false,
    },
  };
  /** Between INTERVAL and its unit. */
  #isAmount = false;

  constructor(column: ColumnSchema, tokens: readonly Token[], columnOf: ReadonlyMap<string, ColumnSchema>) {
    this.#column = column;
    this.#tokens = tokens;
    this.#columnOf = columnOf;
  }

  reason(): string | null {
    for (const [index, token] of this.#tokens.entries()) {
      const reason = this.#judge(token, index);
      if (reason !== null) return reason;
    }
    return this.#isAmount ? 'it uses INTERVAL' : this.#judgeWhole();
  }

  #judge(token: Token, index: number): string | null {
    switch (token.kind) {
      case 'symbol':
        return this.#judgeSymbol(token.text, index);
      case 'name':
        return this.#judgeColumn(token.text, index);
      case 'word':
        return this.#judgeWord(token.text, index);
      default:
        return this.#judgeLiteral(token, index);
    }
  }

  #judgeSymbol(symbol: string, index: number): string | null {
    if (symbol === '/') return 'it divides, with as many digits as div_precision_increment says';
    if (!operators.has(symbol) || (symbol === '.' && this.#isAmount)) return `it uses ${symbol}`;
    if (symbol === '(') {
      const before = this.#tokens[index - 1];
      const isCall = before?.kind === 'word' && this.#isFunction(before.text, index - 1);
      this.#open.push(isCall ? before.text : null);
    }
    if (symbol === ')') this.#open.pop();
    const isShift = this.#tokens[index + 1]?.text === 'INTERVAL';
    if (symbol === '-' && !this.#isAmount && !isShift) this.#uses.subtraction = true;
    const isArithmetic = '+-*%&|^~'.includes(symbol) && !this.#isAmount && !isShift;
    if (isArithmetic || (this.#isDateColumn() && '=<>!'.includes(symbol))) this.#uses.call = true;
    if ('&|^~'.includes(symbol) || (symbol === '<' && this.#tokens[index + 1]?.text === '<'))
      this.#uses.unsigned = true;
    return null;
  }

  #isFunction(word: string, index: number): boolean {
    if (word === 'DATE') return this.#tokens[index - 1]?.text !== 'AS';
    if (word === 'MOD') return this.#tokens[index - 1] === undefined || this.#tokens[index - 1]?.kind === 'symbol';
    return functions.has(word) || dateFunctions.has(word) || timeFunctions.has(word);
  }

  /** The function of dates that takes what stands here; null: none does. */
  #taker(): string | null {
    return this.#open.findLast((name) => name !== null && (dateFunctions.has(name) || timeFunctions.has(name))) ?? null;
  }

  #judgeColumn(name: string, index: number): string | null {
    const column = this.#columnOf.get(name.toLowerCase());
    if (column === undefined) return `it uses ${name}`;
    const { type, perSession } = column;
    if (perSession !== undefined) return `it reads column ${name}, which is virtual and depends on the session`;
    // Whether a value is NULL is the same in every session.
    if (this.#isNullTest(index)) return null;
    if (type === 'timestamp') return `it reads column ${name}, a timestamp, in the session's time zone`;
    if (type === 'char') return `it reads column ${name}, a char, which sql_mode may pad with spaces`;
    if (this.#isAmount) return integers.has(type) ? null : `it adds column ${name} to a date`;
    const taker = this.#taker();
    const isDate = type === 'date' || type === 'datetime';
    if (taker !== null) {
      if ((isDate && taker !== 'TIME_TO_SEC') || (type === 'time' && timeFunctions.has(taker))) return null;
      return `it gives column ${name}, which is no date, to ${taker.toLowerCase()}()`;
    }
    if (type === 'time') return `it uses column ${name}, a time, which becomes a date by today's date`;
    // The date of a moment has no fraction to drop.
    const isCut = ['DATE', 'CAST'].includes(this.#open.at(-1) ?? '');
    if (isDate) this.#uses.dates.push(isCut ? { ...column, fraction: 0 } : column);
    else this.#uses.others = true;
    if (/ unsigned\b/i.test(column.fullType) || ['bit', 'year', 'enum', 'set'].includes(type))
      this.#uses.unsigned = true;
    if (binary.has(type)) this.#uses.bytes = true;
    return null;
  }

  #isNullTest(index: number): boolean {
    const text = (offset: number) => this.#tokens[index + offset]?.text;
    if (text(1) === 'IS') return text(2) === 'NULL' || (text(2) === 'NOT' && text(3) === 'NULL');
    return text(-2) === 'ISNULL' && text(-1) === '(' && text(1) === ')';
  }

  #judgeWord(word: string, index: number): string | null {
    const before = this.#tokens[index - 1];
    if (this.#tokens[index + 1]?.text === '(' && this.#isFunction(word, index)) return this.#judgeCall(word, index);
    if (word === 'INTERVAL') {
      this.#isAmount = true;
      if (this.#taker() === null) this.#uses.shift = true;
      return null;
    }
    if (units.has(word) && this.#isAmount) {
      this.#isAmount = false;
      return null;
    }
    const within = this.#open.at(-1);
    if (before?.text === '(' && within === 'TIMESTAMPDIFF' && units.has(word)) return null;
    // The week of EXTRACT follows default_week_format.
    if (before?.text === '(' && within === 'EXTRACT' && units.has(word) && word !== 'WEEK') return null;
    if (before?.kind === 'word' && beforeCharset.has(before.text)) return null;
    if (word === 'DATE' && before?.text === 'AS' && within === 'CAST')
      return this.#isDateColumn() ? null : 'it makes a date of something else';
    if (before?.text === 'AS' && castTypes.has(word)) {
      this.#uses.call = true;
      if (word === 'CHAR') this.#uses.toText = true;
      if (word === 'UNSIGNED') this.#uses.unsigned = true;
      return null;
    }
    if (word === 'USING') this.#uses.toText = true;
    if (word === 'CASE') this.#uses.call = true;
    if (keywords.has(word) || beforeCharset.has(word)) return null;
    // An introducer: the character set of a literal.
    if (word.startsWith('_') && this.#tokens[index + 1]?.kind === 'string') return null;
    return `it uses ${word.toLowerCase()}${this.#tokens[index + 1]?.text === '(' ? '()' : ''}`;
  }

  #judgeCall(word: string, index: number): string | null {
    if (dateFunctions.has(word) || timeFunctions.has(word)) {
      if (word === 'WEEK' && !this.#hasSecondArgument(index)) return 'it uses week() without a mode';
      return null;
    }
    if (this.#taker() !== null) return `it gives ${word.toLowerCase()}() to a function of dates`;
    if (word === 'DATE' && !this.#isDateColumn()) return 'it uses date()';
    if (choices.has(word)) this.#uses.choice = true;
    else this.#uses.call = true;
    if (['CRC32', 'INET_ATON', 'CONV', 'BIT_COUNT'].includes(word)) this.#uses.unsigned = true;
    if (['FROM_BASE64', 'UNHEX', 'INET6_ATON'].includes(word)) this.#uses.bytes = true;
    return null;
  }

  #hasSecondArgument(index: number): boolean {
    let depth = 0;
    for (const { text, kind } of this.#tokens.slice(index + 1)) {
      if (kind !== 'symbol') continue;
      if (text === '(') depth++;
      if (text === ',' && depth === 1) return true;
      if (text === ')' && --depth === 0) return false;
    }
    return false;
  }

  #judgeLiteral({ kind }: Token, index: number): string | null {
    if (this.#isAmount) return kind === 'number' ? null : 'it adds a text to a date';
    const taker = this.#taker();
    if (taker !== null) {
      const isMode = kind === 'number' && weekFunctions.has(taker) && this.#tokens[index - 1]?.text === ',';
      return isMode ? null : `it gives a literal to ${taker.toLowerCase()}()`;
    }
    this.#uses.others = true;
    return null;
  }

  #isDateColumn(): boolean {
    return this.#column.type === 'date' || this.#column.type === 'datetime';
  }

  #judgeWhole(): string | null {
    const { dates, others, call, choice, shift, subtraction, unsigned, bytes, toText } = this.#uses;
    const { type, fraction } = this.#column;
    if (subtraction && unsigned) return 'it subtracts unsigned numbers, which sql_mode decides about';
    if (bytes && toText) return 'it makes a text of bytes, which sql_mode decides about';
    if ((dates.length > 0 || shift) && (others || call)) return 'it uses a date together with something else';
    if (dates.length > 0 && choice && !this.#isDateColumn()) return 'it returns a date in a column of another type';
    if (this.#isDateColumn() && (others || call)) return 'it makes a date of something else';
    if (this.#isDateColumn() && dates.some((date) => date.fraction > fraction))
      return 'it drops fractions of seconds, as sql_mode says';
    return ['time', 'timestamp', 'year'].includes(type) ? `it makes a ${type}` : null;
  }
}
