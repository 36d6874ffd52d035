import type { TokenWalker } from './token-walker.ts';

/** What an expression may use besides literals and operators. */
export interface Vocabulary {
  /** Functions that may be called, upper case. */
  readonly functions: ReadonlySet<string>;
  /** Columns that may be named, lower case; null: any. */
  readonly columns: ReadonlySet<string> | null;
  /** System variables that may be read, upper case, such as '@@GLOBAL.GTID_PURGED'. */
  readonly globals: ReadonlySet<string>;
}

const symbolOperators = new Set(['=', '<', '>', '<=', '>=', '<>', '!=', '<=>', '+', '-', '*', '/', '%']);
const wordOperators = new Set(['AND', 'OR', 'XOR', 'DIV', 'MOD', 'LIKE', 'BETWEEN']);
const constants = new Set(['NULL', 'TRUE', 'FALSE']);
/** The deepest nesting of parentheses. A chunk by a key of 32 columns, the most of any server, needs less. */
const deepest = 100;

const unclosed = 'a parenthesis that is not closed, or that holds more than a plain expression';
const notListed = 'a function that is not on the list';
const spaced = 'a space between a function and its parenthesis';

/**
 * Walks over an expression of columns, literals, operators and listed functions, and stops after it. Operator precedence does not matter to
 * what is allowed, so it is left to the server. Raises RuleBroken.
 */
export function walkExpression(walker: TokenWalker, vocabulary: Vocabulary, depth = 0): void {
  if (depth > deepest) throw walker.broken('parentheses that are nested too deep');
  const operand = () => walkOperand(walker, vocabulary, depth);
  operand();
  for (;;) {
    const token = walker.peek();
    if (token?.kind === 'symbol' && symbolOperators.has(token.text)) {
      walker.next();
      operand();
    } else if (!walkPredicate(walker, operand)) return;
  }
}

/** Walks over a predicate that starts with a word after an operand. False: there is none. */
function walkPredicate(walker: TokenWalker, operand: () => void): boolean {
  if (walker.accept('IS')) {
    walker.accept('NOT');
    const constant = walker.peek();
    if (constant?.kind !== 'word' || !constants.has(constant.text))
      throw walker.broken('IS without NULL, TRUE or FALSE');
    walker.next();
    return true;
  }
  const isNegated = walker.accept('NOT');
  const token = walker.peek();
  if (walker.accept('IN')) {
    walker.expect('(', 'IN without a list');
    walker.list(operand);
    walker.expect(')', 'IN with something other than a list');
  } else if (token?.kind === 'word' && wordOperators.has(token.text)) {
    walker.next();
    operand();
  } else if (isNegated) throw walker.broken('NOT before something other than IN, LIKE or BETWEEN');
  else return false;
  return true;
}

function walkOperand(walker: TokenWalker, vocabulary: Vocabulary, depth: number): void {
  while (walker.accept('NOT') || walker.accept('-') || walker.accept('+'));
  const token = walker.peek();
  if (token?.kind === 'literal' || (token?.kind === 'word' && constants.has(token.text))) walker.next();
  else if (token?.kind === 'global') {
    if (!vocabulary.globals.has(token.text)) throw walker.broken('a system variable that is not on the list');
    walker.next();
  } else if (walker.accept('(')) {
    walkExpression(walker, vocabulary, depth + 1);
    walker.expect(')', unclosed);
  } else if (token?.kind === 'word' && walker.peek(1)?.text === '(') {
    if (!vocabulary.functions.has(token.text)) throw walker.broken(notListed);
    // With a space before the parenthesis, servers take some of these names for stored functions (IGNORE_SPACE).
    if (walker.peek(1)?.at !== token.at + token.text.length) throw walker.broken(spaced);
    walker.next();
    walker.next();
    walkArguments(walker, vocabulary, token.text, depth);
  } else walkColumn(walker, vocabulary);
}

function walkArguments(walker: TokenWalker, vocabulary: Vocabulary, name: string, depth: number): void {
  if (walker.accept(')')) return;
  const isCount = name === 'COUNT' && walker.accept('*');
  if (!isCount) walker.list(() => walkExpression(walker, vocabulary, depth + 1));
  walker.expect(')', unclosed);
}

/** One bare or quoted name. A name after a dot may be a stored function, or a sequence that the statement would advance. */
function walkColumn(walker: TokenWalker, { columns }: Vocabulary): void {
  const unknown = walker.broken('a name that is not a column of the table');
  const column = walker.name('a column, a literal or a function is missing');
  if (walker.peek()?.text === '(') throw walker.broken(notListed);
  if (walker.peek()?.text === '.') throw walker.broken('a name that is qualified by another name');
  if (columns !== null && !columns.has(column)) throw unknown;
}
