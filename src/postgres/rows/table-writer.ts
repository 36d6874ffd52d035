import { isUtf8 } from 'node:buffer';
import type { RejectedRow } from '../../change/rejected-row.ts';
import type { TableChanges } from '../../change/table-changes.ts';
import type { TableSchema } from '../../definition/table-schema.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import type { Statement } from '../wire/pipeline.ts';
import { checkLines, eachLine } from './line-check.ts';
import { columnList, loadedAtColumn, quoteIdentifier, quoteTable } from './tables.ts';
import { TextArrays } from './text-arrays.ts';

/** The most rows of one statement. More rows would spill to disk at the server. */
const statementRows = 1_000;
/** The same limit in bytes. */
const statementBytes = 1024 * 1024;
/** From this many rows on, a direct COPY gets a savepoint, so that a row that exists already costs this COPY alone. */
const savepointRows = 200;
/** After a direct COPY found existing rows, this many batches use statements before the next direct COPY. */
const batchesAfterConflict = 50;

/** A statement of a table, and the number of rows that it must write. */
export interface Step {
  readonly statement: Statement;
  /**
   * `write`: writes exactly `rows` rows. `delete`: deletes at most that many, because some may be missing. `check`: finds none. `copy`: as
   * `write`, and it fails if a row is already there. `control` writes no rows.
   */
  readonly kind: 'write' | 'delete' | 'check' | 'copy' | 'control';
  readonly rows: number;
  /** Rolls back to the savepoint before a `copy`, if it has one of its own. */
  readonly undo?: string;
}

/** The rows to write and those that cannot be. */
export interface Lines {
  readonly lines: Buffer;
  readonly rows: number;
  readonly rejected: readonly RejectedRow[];
}

/** A savepoint before a direct COPY. */
const directCopy = { set: 'savepoint direct_copy', undo: 'rollback to savepoint direct_copy' } as const;

/** Builds the statements that write the changes of one table. Their texts are made once, from names and types only. */
export class TableWriter {
  /** The table, quoted. */
  readonly table: string;
  readonly schema: TableSchema;
  readonly #width: number;
  readonly #keyWidth: number;
  readonly #upsert: string;
  readonly #delete: string;
  readonly #deleteAll: string;
  readonly #anyRow: string;
  readonly #copy: string;
  /** The keys given as in `#delete` that are at the target. */
  readonly #present: string;
  #batchesLeft = 0;

  constructor(schemaName: string, { schema, codecs }: TableCodec) {
    this.schema = schema;
    this.table = quoteTable(schemaName, schema.table);
    const columns = columnList(schema);
    const names = schema.columns.map(({ name }) => quoteIdentifier(name));
    const types = codecs.map(({ pgType }) => pgType);
    const keys = schema.primaryKey.map((index) => ({ name: names[index] as string, type: types[index] as string }));
    this.#width = names.length;
    this.#keyWidth = keys.length;
    const isKey = new Set(keys.map(({ name }) => name));
    const assignments = [...names.filter((name) => !isKey.has(name)), loadedAtColumn]
      .map((name) => `${name} = excluded.${name}`)
      .join(', ');
    this.#upsert =
      `insert into ${this.table} (${columns}, ${loadedAtColumn})` +
      ` select ${types.map((type, i) => `c${i}::${type}`).join(', ')}, now() from ${listOf(types.length, 'c')}` +
      ` on conflict (${keys.map(({ name }) => name).join(', ')}) do update set ${assignments}`;
    const isGiven = keys.map(({ name, type }, i) => `t.${name} = l.k${i}::${type}`).join(' and ');
    this.#delete = `delete from ${this.table} t using ${listOf(keys.length, 'k')} where ${isGiven}`;
    this.#present = `select from ${this.table} t, ${listOf(keys.length, 'k')} where ${isGiven} limit 1`;
    this.#deleteAll = `delete from ${this.table}`;
    this.#anyRow = `select from ${this.table} limit 1`;
    this.#copy = `copy ${this.table} (${columns}) from stdin`;
  }

  /** The rows of the changes as lines that PostgreSQL can read. */
  lines(changes: TableChanges): Lines {
    if (changes.upsertCount === 0) return { lines: Buffer.alloc(0), rows: 0, rejected: [] };
    const { lines, rejected } = checkLines(changes.upsertLines(), this.schema);
    return { lines, rows: changes.upsertCount - rejected.length, rejected };
  }

  /** Deletes what the changes delete. */
  *deletes(changes: TableChanges): Generator<Step> {
    // Not TRUNCATE: readers with an older snapshot would see it, and it waits for every reader.
    if (changes.truncated) {
      yield { statement: { text: this.#deleteAll }, kind: 'control', rows: 0 };
      yield { statement: { text: this.#anyRow }, kind: 'check', rows: 0 };
    }
    for (const { values, rows } of keyPages(changes, this.#keyWidth))
      yield { statement: { text: this.#delete, values }, kind: 'delete', rows };
  }

  /** Whether the changes delete rows that are still at the target. */
  *present(changes: TableChanges): Generator<Statement> {
    for (const { values } of keyPages(changes, this.#keyWidth)) yield { text: this.#present, values };
  }

  /** Writes rows. A row that exists is replaced. */
  *upserts(lines: Iterable<Buffer>): Generator<Step> {
    for (const { values, rows } of pages(lines, this.#width))
      yield { statement: { text: this.#upsert, values }, kind: 'write', rows };
  }

  /**
   * Writes all rows. Rows that should all be new are copied directly into the table, twice as fast. That fails if a row exists already,
   * which happens while the stream repeats rows of a snapshot.
   */
  *writes({ lines, rows }: Lines, isNew: boolean): Generator<Step> {
    if (rows === 0) return;
    if (!isNew || !this.mayCopy) {
      if (isNew) this.#batchesLeft--;
      yield* this.upserts([lines]);
      return;
    }
    const copy: Step = { statement: { text: this.#copy, lines: [lines] }, kind: 'copy', rows };
    const hasSavepoint = rows > savepointRows || lines.length > statementBytes;
    if (hasSavepoint) yield { statement: { text: directCopy.set }, kind: 'control', rows: 0 };
    yield hasSavepoint ? { ...copy, undo: directCopy.undo } : copy;
    if (hasSavepoint) yield { statement: { text: 'release savepoint direct_copy' }, kind: 'control', rows: 0 };
  }

  /** Whether rows that should all be new are worth a direct COPY. */
  get mayCopy(): boolean {
    return this.#batchesLeft === 0;
  }

  /** A direct COPY found a row that exists already. */
  foundExisting(): void {
    this.#batchesLeft = batchesAfterConflict;
  }
}

/** A list of rows `l` from one text array per column, as a relation. */
function listOf(columns: number, letter: string): string {
  const numbers = Array.from({ length: columns }, (_, i) => i);
  return `unnest(${numbers.map((i) => `$${i + 1}::text[]`).join(', ')}) as l(${numbers.map((i) => `${letter}${i}`).join(', ')})`;
}

interface Page {
  readonly values: readonly Buffer[];
  readonly rows: number;
}

function* pages(buffers: Iterable<Buffer>, width: number): Generator<Page> {
  let [page, bytes] = [new TextArrays(width), 0];
  for (const lines of buffers) {
    for (const line of eachLine(lines)) {
      if (page.rows > 0 && (page.rows >= statementRows || bytes + line.length > statementBytes)) {
        yield { values: page.values(), rows: page.rows };
        [page, bytes] = [new TextArrays(width), 0];
      }
      page.add(line, 0, line.length - 1);
      bytes += line.length;
    }
  }
  if (page.rows > 0) yield { values: page.values(), rows: page.rows };
}

function* keyPages(changes: TableChanges, width: number): Generator<Page> {
  let page = new TextArrays(width);
  for (const deleted of changes.deletedKeys()) {
    const key = Buffer.from(deleted, 'latin1');
    // A key that is not UTF-8 was never written. Decoded as text, it would become another key.
    if (!isUtf8(key)) continue;
    if (page.rows >= statementRows) {
      yield { values: page.values(), rows: page.rows };
      page = new TextArrays(width);
    }
    page.add(key, 0, key.length);
  }
  if (page.rows > 0) yield { values: page.values(), rows: page.rows };
}
