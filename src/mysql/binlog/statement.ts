import { keepsItsRows } from '../engines.ts';
import { type TableName, readMergedTables } from '../merged-tables.ts';
import { type QuotingMode, type Token, tokenize } from '../tokenize.ts';

/** What a Query event means to a copy. Names are as written; compare them by `mayName`. */
export type Statement =
  | { readonly kind: 'begin' | 'commit' | 'rollback' | 'rollback-to-savepoint' | 'xa-start' | 'nothing' }
  | { readonly kind: 'truncate'; readonly table: TableName }
  /** Rows of these tables may have gone or come back. */
  | { readonly kind: 'repaired'; readonly tables: readonly TableName[] }
  /** After this statement these tables, or all tables of a database, cannot be followed. */
  | {
      readonly kind: 'unfollowed';
      /** The reason, for the operator. */
      readonly reason: string;
      readonly tables: readonly TableName[];
      readonly database?: string;
      /** Applies only to tables whose key is one of these indexes. */
      readonly indexes?: readonly string[];
    }
  /** Rows changed by a statement, without row images in the binlog. `names`: whether an identifier in lower case is in it. */
  | { readonly kind: 'rows-unseen'; readonly reason: string; readonly names: Pick<ReadonlySet<string>, 'has'> };

const nothing: Statement = { kind: 'nothing' };
const logged = 'a statement was logged instead of its rows (binlog_format is not ROW)';
const notTakenApart = 'a statement is too long to see which tables it changed';

/** Longer statements, or those with more tables, are not taken apart: their tokens would take many times the memory. */
const mostCharacters = 512 * 1024;
const mostTables = 1000;

/** The replacement for a byte that is not UTF-8. */
const unread = '\ufffd';

/**
 * Whether a name in a statement may be this one. Names are compared without case. If a client wrote in a character set other than UTF-8,
 * the name may be any name that is not ASCII. It is safer to suspend a table too many than one too few.
 */
export function mayName(written: string, name: string): boolean {
  return written.toLowerCase() === name.toLowerCase() || (written.includes(unread) && /[^ -~]/.test(name));
}

/** Classifies the statement of a Query event. `database` is its default database, `mode` how it quotes. */
export function classifyStatement(sql: string, database: string, mode?: QuotingMode): Statement {
  // Most Query events by far, and servers write them exactly like this.
  if (sql === 'BEGIN') return { kind: 'begin' };
  if (sql === 'COMMIT') return { kind: 'commit' };
  if (sql.length > mostCharacters) return { kind: 'rows-unseen', reason: notTakenApart, names: { has: mayHave(sql) } };
  const reader = new TokenReader(tokenize(sql, mode), database, !sql.includes(unread));
  const statement = classified(reader);
  if (statement.kind !== 'unfollowed' || statement.tables.length <= mostTables) return statement;
  return { kind: 'rows-unseen', reason: notTakenApart, names: reader.names() };
}

/** Whether a name may be in a statement. One whose text differs from the name is assumed to be. */
function mayHave(sql: string): (name: string) => boolean {
  const text = sql.toLowerCase();
  return (name) => text.includes(name) || name.includes('`') || (text.includes(unread) && /[^ -~]/.test(name));
}

function classified(reader: TokenReader): Statement {
  let verb = reader.word();
  // MariaDB's `set statement … for …` runs the statement after FOR with other settings.
  if (verb === 'SET' && reader.accept('STATEMENT')) {
    reader.skipTo('FOR');
    verb = reader.word();
  }
  switch (verb) {
    case 'BEGIN':
      return { kind: 'begin' };
    case 'START':
      return reader.accept('TRANSACTION') ? { kind: 'begin' } : nothing;
    case 'COMMIT':
      return { kind: 'commit' };
    case 'ROLLBACK':
      return { kind: reader.has('TO') ? 'rollback-to-savepoint' : 'rollback' };
    case 'XA':
      return reader.accept('START') || reader.accept('BEGIN') ? { kind: 'xa-start' } : nothing;
    case 'TRUNCATE': {
      reader.accept('TABLE');
      const table = reader.tableName();
      if (reader.isSound) return { kind: 'truncate', table };
      return { kind: 'unfollowed', reason: 'a table whose name could not be read was truncated', tables: [table] };
    }
    case 'REPAIR':
      return repair(reader);
    case 'CREATE':
    case 'ALTER':
    case 'DROP':
    case 'RENAME':
      return definition(verb.toLowerCase(), reader);
    case 'DELETE':
      // The server writes this when a MEMORY table is first used after a restart, in every binlog format.
      if (reader.isCompleteTable())
        return {
          kind: 'unfollowed',
          reason: 'it lost its rows in a restart of the source (engine MEMORY)',
          tables: [reader.tableName()],
        };
      return { kind: 'rows-unseen', reason: logged, names: reader.names() };
    case 'INSERT':
    case 'UPDATE':
    case 'REPLACE':
    case 'LOAD':
    case 'WITH':
    case 'SELECT':
    case 'CALL':
    case 'DO':
    case 'IMPORT':
      return { kind: 'rows-unseen', reason: logged, names: reader.names() };
    default:
      // SAVEPOINT, ANALYZE, OPTIMIZE, FLUSH, GRANT, SET …: no row and no column changes.
      return nothing;
  }
}

function repair(reader: TokenReader): Statement {
  for (const option of ['NO_WRITE_TO_BINLOG', 'LOCAL']) reader.accept(option);
  if (!reader.accept('TABLE') && !reader.accept('TABLES')) return nothing;
  const tables = [reader.tableName()];
  while (reader.accept(',')) tables.push(reader.tableName());
  return { kind: 'repaired', tables };
}

/** Words that may come between the verb and the kind of object. */
const modifiers = new Set([
  'OR',
  'REPLACE',
  'ONLINE',
  'OFFLINE',
  'IGNORE',
  'UNIQUE',
  'FULLTEXT',
  'SPATIAL',
  'VECTOR',
  'AGGREGATE',
]);

function definition(verb: string, reader: TokenReader): Statement {
  let replaces = false;
  let ignores = false;
  while (modifiers.has(reader.peek())) {
    const modifier = reader.word();
    if (modifier === 'REPLACE') replaces = true;
    if (modifier === 'IGNORE') ignores = true;
  }
  const object = reader.word();
  switch (object) {
    case 'TEMPORARY':
      if (verb !== 'create') return nothing;
      reader.accept('TABLE');
      reader.skipIfExists();
      // Row format does not log it. In another format, a TRUNCATE in that session would look like one of the table with the same name.
      return {
        kind: 'unfollowed',
        reason: 'a session that logs statements created a temporary table with its name (binlog_format is not ROW)',
        tables: [reader.tableName()],
      };
    case 'TABLE':
    case 'TABLES':
      return tableDefinition(verb, reader, ignores);
    case 'INDEX': {
      if (verb === 'create' && !replaces) return nothing;
      const indexes = [reader.indexName()];
      reader.skipTo('ON');
      return { kind: 'unfollowed', reason: keyIsGone, tables: [reader.tableName()], indexes };
    }
    case 'DATABASE':
    case 'SCHEMA':
      reader.skipIfExists();
      return verb === 'drop'
        ? { kind: 'unfollowed', reason: notReplicated(verb), tables: [], database: reader.identifier() }
        : nothing;
    default:
      return nothing;
  }
}

const keyIsGone = 'the index that is its key was dropped or replaced at the source';

function notReplicated(verb: string): string {
  return `${verb} table at the source is not replicated yet`;
}

function tableDefinition(verb: string, reader: TokenReader, ignores: boolean): Statement {
  const isConditional = reader.skipIfExists();
  const tables = [reader.tableName()];
  const merged = reader.mergedTables();
  if (merged.length > 0)
    return {
      kind: 'unfollowed',
      reason:
        'a MERGE table now includes it, and the source does not log changes through that as changes of this table',
      tables: [...tables, ...merged],
    };
  // A replicated table exists, so this statement creates nothing.
  if (verb === 'create' && isConditional) return nothing;
  if (verb === 'alter') {
    const clauses = reader.clauses();
    // IGNORE drops the rows that violate a new unique index.
    if (!ignores && reader.isSound && clauses.length > 0 && clauses.every(keepsRows)) {
      const indexes = clauses.flatMap(droppedIndex);
      return indexes.length === 0 ? nothing : { kind: 'unfollowed', reason: keyIsGone, tables, indexes };
    }
    // `rename to other` gives another table a new meaning, too.
    for (const clause of clauses) {
      if (clause.accept('EXCHANGE')) {
        clause.skipTo('TABLE');
        tables.push(clause.tableName());
      }
      if (clause.accept('RENAME') && !['COLUMN', 'INDEX', 'KEY'].includes(clause.peek())) {
        if (!clause.accept('TO') && !clause.accept('AS')) clause.accept('=');
        tables.push(clause.tableName());
      }
    }
  } else if (verb === 'drop') {
    while (reader.accept(',')) tables.push(reader.tableName());
  } else if (verb === 'rename') {
    // Every name in it is a table or a database. Suspending does not need to know which.
    const names = [...reader.names()];
    if (names.length > mostTables) return { kind: 'rows-unseen', reason: notTakenApart, names: reader.names() };
    const databases = [tables[0]?.database ?? '', ...names];
    return {
      kind: 'unfollowed',
      reason: notReplicated(verb),
      tables: databases.flatMap((database) => names.map((table) => ({ database, table }))),
    };
  }
  return { kind: 'unfollowed', reason: notReplicated(verb), tables };
}

/** An ALTER TABLE clause that does not change how rows read: indexes by name, statistics, the engine, a rebuild. */
function keepsRows(clause: TokenReader): boolean {
  const engine = clause.engine();
  if (engine !== null && !keepsItsRows(engine)) return false;
  const first = clause.peek();
  if (
    ['DISABLE', 'ENABLE', 'ENGINE', 'FORCE', 'AUTO_INCREMENT', 'ALGORITHM', 'LOCK', 'ORDER', 'ANALYZE'].includes(first)
  )
    return true;
  if (first === 'ADD' || first === 'DROP') {
    const second = clause.peek(1);
    if (['INDEX', 'KEY'].includes(second)) return true;
    return first === 'ADD' && ['UNIQUE', 'FULLTEXT', 'SPATIAL'].includes(second);
  }
  return false;
}

/** The index that an ALTER TABLE clause drops by its name. The primary key has a name, too. */
function droppedIndex(clause: TokenReader): string[] {
  if (!clause.accept('DROP')) return [];
  clause.word();
  return [clause.indexName()];
}

/** Walks a statement's tokens. */
class TokenReader {
  readonly #tokens: readonly Token[];
  readonly #database: string;
  /** Every byte of the statement is valid UTF-8. */
  readonly isSound: boolean;
  #at = 0;

  constructor(tokens: readonly Token[], database: string, isSound = true) {
    this.#tokens = tokens;
    this.#database = database;
    this.isSound = isSound;
  }

  /** The next word or symbol, or the one `ahead` of it. Empty for any other token. */
  peek(ahead = 0): string {
    const token = this.#tokens[this.#at + ahead];
    return token?.kind === 'word' || token?.kind === 'symbol' ? token.text : '';
  }

  word(): string {
    const text = this.peek();
    this.#at++;
    return text;
  }

  accept(text: string): boolean {
    if (this.peek() !== text) return false;
    this.#at++;
    return true;
  }

  has(text: string): boolean {
    return this.#tokens.some((token) => token.kind === 'word' && token.text === text);
  }

  skipTo(text: string): void {
    while (this.#at < this.#tokens.length && this.peek() !== text) this.#at++;
    this.#at++;
  }

  /** Returns whether there was one. */
  skipIfExists(): boolean {
    if (!this.accept('IF')) return false;
    this.accept('NOT');
    this.accept('EXISTS');
    return true;
  }

  /** Whether the rest is FROM and a table with its database, both quoted, and nothing more. If so, the table is next. */
  isCompleteTable(): boolean {
    const kinds = this.#tokens.slice(this.#at).map(({ kind }) => kind);
    return kinds.join(' ') === 'word name symbol name' && this.accept('FROM');
  }

  identifier(): string {
    const token = this.#tokens[this.#at++];
    return token === undefined || (token.kind !== 'word' && token.kind !== 'name') ? '' : token.raw;
  }

  indexName(): string {
    this.skipIfExists();
    return this.identifier();
  }

  tableName(): TableName {
    const first = this.identifier();
    if (!this.accept('.')) return { database: this.#database, table: first };
    return { database: first, table: this.identifier() };
  }

  mergedTables(): TableName[] {
    return readMergedTables(this.#tokens, this.#database);
  }

  /** The engine that the clause names, empty if it cannot be read; null: it names none. */
  engine(): string | null {
    let depth = 0;
    for (const [at, token] of this.#tokens.entries()) {
      if (token.kind === 'symbol' && token.text === '(') depth++;
      if (token.kind === 'symbol' && token.text === ')') depth--;
      if (depth > 0 || token.kind !== 'word' || token.text !== 'ENGINE') continue;
      const value = new TokenReader(this.#tokens.slice(at + 1), this.#database);
      value.accept('=');
      return value.identifier();
    }
    return null;
  }

  names(): Set<string> {
    const named = this.#tokens.filter((token) => token.kind === 'word' || token.kind === 'name');
    return new Set(named.map((token) => token.raw.toLowerCase()));
  }

  /** The remaining tokens, split at commas outside parentheses. */
  clauses(): TokenReader[] {
    const clauses: Token[][] = [[]];
    let depth = 0;
    for (const token of this.#tokens.slice(this.#at)) {
      if (token.kind === 'symbol' && token.text === '(') depth++;
      if (token.kind === 'symbol' && token.text === ')') depth--;
      if (depth === 0 && token.kind === 'symbol' && token.text === ',') clauses.push([]);
      else clauses.at(-1)?.push(token);
    }
    return clauses.filter((clause) => clause.length > 0).map((clause) => new TokenReader(clause, this.#database));
  }
}
