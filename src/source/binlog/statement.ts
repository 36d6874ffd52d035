import { type Token, tokenize } from '../tokenize.ts';

export interface TableName {
  readonly database: string;
  readonly table: string;
}

/** What a Query event means to a copy. */
export type Statement =
  | { readonly kind: 'begin' | 'commit' | 'rollback' | 'rollback-to-savepoint' | 'xa-start' | 'nothing' }
  | { readonly kind: 'truncate'; readonly table: TableName }
  /**
   * A change of definition that rows written later may depend on; with `indexes`, lower case: only where one of these tells the
   * rows apart.
   */
  | {
      readonly kind: 'definition';
      readonly verb: string;
      readonly tables: readonly TableName[];
      readonly database?: string;
      readonly indexes?: readonly string[];
    }
  /** Rows changed by a statement whose row images are not in the binlog; `names`: every identifier in it, lower case. */
  | { readonly kind: 'rows-unseen'; readonly names: ReadonlySet<string> }
  /** A MEMORY table lost its rows in a restart: what the server writes when it is first used, whatever the format is. */
  | { readonly kind: 'emptied'; readonly table: TableName };

const nothing: Statement = { kind: 'nothing' };

/** Classifies the statement of a Query event. `database` is the default one it ran with. */
export function classifyStatement(sql: string, database: string): Statement {
  // Most Query events by far; the server writes them exactly so.
  if (sql === 'BEGIN') return { kind: 'begin' };
  if (sql === 'COMMIT') return { kind: 'commit' };
  const reader = new TokenReader(tokenize(sql), database);
  let verb = reader.word();
  // MariaDB's `set statement … for …` runs what follows with other settings.
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
    case 'TRUNCATE':
      reader.accept('TABLE');
      return { kind: 'truncate', table: reader.tableName() };
    case 'CREATE':
    case 'ALTER':
    case 'DROP':
    case 'RENAME':
      return definition(verb.toLowerCase(), reader);
    case 'DELETE':
      if (reader.isWholeTable()) return { kind: 'emptied', table: reader.tableName() };
      return { kind: 'rows-unseen', names: reader.names() };
    case 'INSERT':
    case 'UPDATE':
    case 'REPLACE':
    case 'LOAD':
    case 'WITH':
    case 'SELECT':
    case 'CALL':
    case 'DO':
    case 'IMPORT':
      return { kind: 'rows-unseen', names: reader.names() };
    default:
      // SAVEPOINT, ANALYZE, OPTIMIZE, REPAIR, FLUSH, GRANT, SET …: no row and no column changes.
      return nothing;
  }
}

/** Words that may stand between the verb and the kind of object. */
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
  while (modifiers.has(reader.peek())) if (reader.word() === 'REPLACE') replaces = true;
  const object = reader.word();
  switch (object) {
    case 'TEMPORARY':
      // Its rows are never logged in row format.
      return nothing;
    case 'TABLE':
    case 'TABLES':
      return tableDefinition(verb, reader);
    case 'INDEX': {
      if (verb === 'create' && !replaces) return nothing;
      const indexes = [reader.indexName()];
      reader.skipTo('ON');
      return { kind: 'definition', verb, tables: [reader.tableName()], indexes };
    }
    case 'DATABASE':
    case 'SCHEMA':
      reader.skipIfExists();
      return verb === 'drop' ? { kind: 'definition', verb, tables: [], database: reader.identifier() } : nothing;
    default:
      return nothing;
  }
}

function tableDefinition(verb: string, reader: TokenReader): Statement {
  reader.skipIfExists();
  const tables = [reader.tableName()];
  if (verb === 'alter') {
    const clauses = reader.clauses();
    if (clauses.length > 0 && clauses.every(keepsRows)) {
      const indexes = clauses.flatMap(droppedIndex);
      return indexes.length === 0 ? nothing : { kind: 'definition', verb, tables, indexes };
    }
    // `rename to other` gives a second table a new meaning.
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
    // Every name in it is a table or a database; which is which does not matter for parking.
    const names = [...reader.names()];
    const databases = [tables[0]?.database ?? '', ...names];
    return {
      kind: 'definition',
      verb,
      tables: databases.flatMap((database) => names.map((table) => ({ database, table }))),
    };
  }
  return { kind: 'definition', verb, tables };
}

/** An ALTER TABLE clause after which every row reads as before: indexes by name, statistics, the engine, a rebuild. */
function keepsRows(clause: TokenReader): boolean {
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

/** The index that an ALTER TABLE clause drops by its name; the primary key has one, too. */
function droppedIndex(clause: TokenReader): string[] {
  if (!clause.accept('DROP')) return [];
  clause.word();
  return [clause.indexName()];
}

/** Walks a statement's tokens. */
class TokenReader {
  readonly #tokens: readonly Token[];
  readonly #database: string;
  #at = 0;

  constructor(tokens: readonly Token[], database: string) {
    this.#tokens = tokens;
    this.#database = database;
  }

  /** The next word or symbol, or one `ahead` of it; empty for what is neither. */
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

  skipIfExists(): void {
    if (!this.accept('IF')) return;
    this.accept('NOT');
    this.accept('EXISTS');
  }

  /** What is left is FROM, a table with its database, both quoted, and the end; the table is next then. */
  isWholeTable(): boolean {
    const kinds = this.#tokens.slice(this.#at).map(({ kind }) => kind);
    return kinds.join(' ') === 'word name symbol name' && this.accept('FROM');
  }

  identifier(): string {
    const token = this.#tokens[this.#at++];
    return token === undefined || (token.kind !== 'word' && token.kind !== 'name') ? '' : token.raw;
  }

  indexName(): string {
    this.skipIfExists();
    return this.identifier().toLowerCase();
  }

  tableName(): TableName {
    const first = this.identifier();
    if (!this.accept('.')) return { database: this.#database, table: first };
    return { database: first, table: this.identifier() };
  }

  names(): Set<string> {
    const named = this.#tokens.filter((token) => token.kind === 'word' || token.kind === 'name');
    return new Set(named.map((token) => token.raw.toLowerCase()));
  }

  /** The rest, split at commas outside parentheses. */
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
