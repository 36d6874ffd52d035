import { TidegateError } from '../../errors/tidegate-error.ts';
import { type Vocabulary, walkExpression } from './expression.ts';
import { RuleBroken, type StrictToken, strictTokens } from './strict-tokens.ts';
import { TokenWalker } from './token-walker.ts';

/**
 * Every statement that may be sent besides SELECT and SET SESSION, word by word. Placeholders are in braces:
 *
 * - `text`, `number`: a literal
 * - `texts`: one or more literals
 * - `table`: a name in backquotes, with the name of its database
 * - `roles`: one or more roles, as the server quotes them
 */
const allowedForms = [
  'show grants',
  'show grants for current_user ( ) using {roles}',
  'show create table {table}',
  'show global variables',
  'show global variables like {text}',
  'show global variables where variable_name in ( {texts} )',
  'show global status where variable_name in ( {texts} )',
  'show status like {text}',
  'show master status',
  'show binary log status',
  'show binary logs',
  'show processlist',
  'show all slaves status',
  'show slave status',
  'show replica status',
  'set names utf8mb4 collate utf8mb4_general_ci',
  'set session transaction isolation level repeatable read , read only',
  'set role none',
  'set role {roles}',
  'start transaction with consistent snapshot',
  'commit',
  // Sent before a binlog dump, most of them by zongji.
  'set @master_binlog_checksum = @@global.binlog_checksum',
  'set @mariadb_slave_capability = {number}',
  'set @slave_connect_state = {text}',
  'set @master_heartbeat_period = {number} , @source_heartbeat_period = {number} , @master_binlog_checksum = {text}',
].map((form) => form.split(' '));

/** Session variables that may be set, with the literals that each may be set to. */
const sessionVariables: Readonly<Record<string, RegExp>> = {
  TIME_ZONE: /^'\+00:00'$/,
  SQL_MODE: /^''$/,
  AUTOCOMMIT: /^1$/,
  COMPLETION_TYPE: /^0$/,
  SQL_SELECT_LIMIT: /^18446744073709551615$/,
  LOCK_WAIT_TIMEOUT: /^[12]$/,
  INNODB_LOCK_WAIT_TIMEOUT: /^[12]$/,
  WAIT_TIMEOUT: /^\d{1,5}$/,
  NET_WRITE_TIMEOUT: /^[1-9]\d{0,2}$/,
  MAX_STATEMENT_TIME: /^[1-9]\d{0,1}$/,
  MAX_EXECUTION_TIME: /^[1-9]\d{0,4}$/,
  IDLE_TRANSACTION_TIMEOUT: /^[1-9]\d{0,1}$/,
};

/** Functions whose result depends only on their arguments. They use no more time or memory than the arguments require. */
const deterministicFunctions: ReadonlySet<string> = new Set([
  ...['ABS', 'CEIL', 'CEILING', 'FLOOR', 'ROUND', 'TRUNCATE', 'SIGN', 'MOD', 'GREATEST', 'LEAST'],
  ...['COALESCE', 'IFNULL', 'NULLIF', 'ISNULL', 'LOWER', 'UPPER', 'LEFT', 'RIGHT', 'SUBSTRING', 'SUBSTR'],
  ...['TRIM', 'LTRIM', 'RTRIM', 'LENGTH', 'OCTET_LENGTH', 'CHAR_LENGTH', 'CONCAT', 'HEX', 'CRC32', 'MD5'],
  ...['DATE', 'YEAR', 'MONTH', 'DAY', 'DAYOFMONTH', 'HOUR', 'MINUTE', 'SECOND', 'LAST_DAY', 'DATEDIFF', 'TO_DAYS'],
]);
/**
 * Those functions that a condition may call: they mean the same to MySQL, MariaDB and PostgreSQL. The others are left out for these
 * reasons:
 *
 * - PostgreSQL lacks them (YEAR, IFNULL).
 * - They count in other units (LENGTH counts bytes).
 * - They treat NULL (GREATEST, CONCAT) or numbers below one (LEFT, SUBSTRING) differently.
 * - They see other bytes if the source's character set is another (OCTET_LENGTH, MD5).
 */
export const conditionFunctions: ReadonlySet<string> = new Set([
  ...[
    'ABS',
    'CEIL',
    'CEILING',
    'FLOOR',
    'ROUND',
    'SIGN',
    'COALESCE',
    'NULLIF',
    'LOWER',
    'UPPER',
    'TRIM',
    'LTRIM',
    'RTRIM',
  ],
  ...['CHAR_LENGTH', 'DATE'],
]);
const ofSelects: Vocabulary = {
  functions: new Set([
    ...deterministicFunctions,
    ...[
      'COUNT',
      'MIN',
      'MAX',
      'VERSION',
      'CURRENT_ROLE',
      'UNIX_TIMESTAMP',
      'NOW',
      'BINLOG_GTID_POS',
      'GTID_SUBSET',
      'GTID_SUBTRACT',
    ],
  ]),
  globals: new Set([
    '@@GLOBAL.BINLOG_CHECKSUM',
    '@@GLOBAL.GTID_EXECUTED',
    '@@GLOBAL.GTID_PURGED',
    '@@GLOBAL.GTID_BINLOG_STATE',
  ]),
  columns: null,
};
/** Databases of the server itself. Only `catalogTables` in them may be read; the rest is not ours. */
const systemDatabases = new Set(['mysql', 'performance_schema', 'sys', 'information_schema']);
const catalogTables = new Set(['tables', 'columns', 'statistics']);

const unknownKind = 'a kind of statement that is not on the list';
const noEnd = 'text after the end of an allowed statement';

/**
 * Allows one statement of a kind that can only read, and refuses everything else: an unknown statement is never sent. Raises TidegateError
 * refused, which names the rule and the position and shows nothing of the statement.
 */
export function assertAllowedStatement(sql: string): void {
  inWords(
    () => {
      const tokens = strictTokens(sql);
      const walker = new TokenWalker(tokens, sql.length);
      const [verb, scope, first] = tokens;
      if (walker.accept('SELECT')) walkSelect(walker);
      else if (verb?.text === 'SET' && scope?.text === 'SESSION' && first?.text !== 'TRANSACTION') walkSet(walker);
      else if (!allowedForms.some((form) => matches(form, tokens))) throw walker.broken(unknownKind);
    },
    'a statement for the source was refused',
    'Report this: nothing was sent, but Tidegate made a statement that docs/safety.md does not list.',
  );
}

/**
 * Allows a plain condition on the columns of one table, for use in parentheses after WHERE. It consists of columns, literals, operators,
 * and functions that mean the same at both ends. It has no subquery, no variable and no clock. Raises TidegateError refused.
 */
export function assertPlainCondition(condition: string, columns: readonly string[]): void {
  inWords(
    () => {
      const walker = new TokenWalker(strictTokens(condition), condition.length);
      const known = new Set(columns.map((column) => column.toLowerCase()));
      walkExpression(walker, { functions: conditionFunctions, globals: new Set(), columns: known });
      if (!walker.isAtEnd) throw walker.broken('text after the end of the condition');
    },
    'the condition was refused',
    `A condition is made of the table's columns, numbers, texts in single quotes, comparisons, and, or, not, in (…), between, like, is null, arithmetic, and these functions: ${[...conditionFunctions].join(', ').toLowerCase()}.`,
  );
}

/** Turns a broken rule into an error for the operator. It names the rule and the position, and shows nothing of the text. */
function inWords(check: () => void, refused: string, hint: string): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof RuleBroken)) throw error;
    throw new TidegateError('refused', `${refused} at character ${error.at + 1}: ${error.rule}`, { hint });
  }
}

/** `select …` of expressions, from at most one table. Nothing in it locks, writes, joins or nests. */
function walkSelect(walker: TokenWalker): void {
  walker.accept('DISTINCT');
  walker.list(() => {
    walkExpression(walker, ofSelects);
    if (walker.accept('AS')) walker.name('a name is missing after AS');
  });
  if (walker.accept('FROM')) {
    const [database, table] = walker.qualifiedName('a table is missing after FROM');
    if (database !== null && systemDatabases.has(database))
      if (database !== 'information_schema' || !catalogTables.has(table))
        throw walker.broken('a table of the server itself that is not on the list');
    if (walker.accept('FORCE')) walkIndex(walker);
    if (walker.accept('WHERE')) walkExpression(walker, ofSelects);
    if (walker.accept('ORDER')) {
      walker.expect('BY', 'ORDER without BY');
      walker.list(() => walker.name('ORDER BY something other than columns'));
    }
    if (walker.accept('LIMIT')) walker.take('literal', 'LIMIT without a number');
  }
  if (!walker.isAtEnd) throw walker.broken(noEnd);
}

/** `index (primary)`, or one index by its name in backquotes. */
function walkIndex(walker: TokenWalker): void {
  const rule = 'FORCE with something other than one index: primary, or a name in backquotes';
  walker.expect('INDEX', rule);
  walker.expect('(', rule);
  if (!walker.accept('PRIMARY')) walker.take('name', rule);
  walker.expect(')', rule);
}

function walkSet(walker: TokenWalker): void {
  walker.expect('SET', unknownKind);
  walker.expect('SESSION', unknownKind);
  walker.list(() => {
    const { text } = walker.take('word', 'a session variable that is not on the list');
    walker.expect('=', 'SET SESSION without a value');
    const value = walker.take('literal', 'a value that a session variable must not have');
    if (sessionVariables[text]?.test(value.text) !== true)
      throw new RuleBroken('a session variable, or a value of it, that is not on the list', value.at);
  });
  if (!walker.isAtEnd) throw walker.broken(noEnd);
}

/** Whether all tokens together have this form. */
function matches(form: readonly string[], tokens: readonly StrictToken[]): boolean {
  let at = 0;
  for (const part of form) {
    const length = part.startsWith('{') ? placeholderLength(part, tokens, at) : wordLength(part, tokens[at]);
    if (length === 0) return false;
    at += length;
  }
  return at === tokens.length;
}

function wordLength(part: string, token: StrictToken | undefined): number {
  return token !== undefined && token.kind !== 'name' && token.kind !== 'literal' && token.text === part.toUpperCase()
    ? 1
    : 0;
}

/** The number of tokens that a placeholder matches from `at` on; 0: it does not match. */
function placeholderLength(placeholder: string, tokens: readonly StrictToken[], at: number): number {
  const kinds = (from: number, count: number) =>
    tokens
      .slice(from, from + count)
      .map(({ kind, text }) => (kind === 'symbol' ? text : kind))
      .join(' ');
  const listOf = (lengthAt: (from: number) => number): number => {
    let length = lengthAt(at);
    while (length > 0 && tokens[at + length]?.text === ',') {
      const next = lengthAt(at + length + 1);
      if (next === 0) return 0;
      length += 1 + next;
    }
    return length;
  };
  switch (placeholder) {
    case '{text}':
      return tokens[at]?.kind === 'literal' && tokens[at].text.startsWith("'") ? 1 : 0;
    case '{number}':
      return tokens[at]?.kind === 'literal' && /^\d+$/.test(tokens[at].text) ? 1 : 0;
    case '{texts}':
      return listOf((from) => (kinds(from, 1) === 'literal' ? 1 : 0));
    case '{table}':
      return kinds(at, 3) === 'name . name' ? 3 : 0;
    case '{roles}':
      return listOf((from) => (kinds(from, 3) === 'name @ name' ? 3 : kinds(from, 1) === 'name' ? 1 : 0));
    default:
      return 0;
  }
}
