import { type Position, comparePositions } from '../../change/position.ts';
import type { Cascade } from '../../definition/table-schema.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import { mayName } from './statement.ts';

/** A replicated table, as the stream must read it. */
export interface StreamTable {
  readonly codec: TableCodec;
  /** The snapshot already has the changes before this position. */
  readonly from: Position;
  /** A crash of the source may leave other rows than the binlog has. */
  readonly isTornByCrash?: boolean;
}

/** A replicated table, and the foreign key that lets changes of another table reach it. */
export interface Dependent {
  readonly table: StreamTable;
  readonly cascade: Cascade;
}

/**
 * The tables that the stream replicates. Names are compared as the server compares them: byte by byte, or without case if
 * lower_case_table_names is not 0. In that case the binlog spells names in lower case, whatever the catalog shows
 * (https://dev.mysql.com/doc/refman/8.4/en/identifier-case-sensitivity.html).
 */
export class StreamTables {
  readonly database: string;
  readonly #fold: boolean;
  readonly #tables = new Map<string, StreamTable>();
  /** Tables of the database that a definition named and that are not replicated: new, returned or corrected ones may be among them. */
  readonly unlisted = new Set<string>();
  /** By parent, as `database.table` in lower case: the tables that may change below the binlog when the parent changes. */
  readonly #children = new Map<string, Dependent[]>();

  constructor(database: string, foldNames: boolean, tables: readonly StreamTable[]) {
    this.#fold = foldNames;
    this.database = this.#key(database);
    for (const table of tables) {
      this.#tables.set(this.#key(table.codec.schema.table), table);
      for (const cascade of table.codec.schema.cascades ?? []) {
        const parent = parentKey(cascade.parentDatabase ?? database, cascade.parent);
        this.#children.set(parent, [...(this.#children.get(parent) ?? []), { table, cascade }]);
      }
    }
  }

  #key(name: string): string {
    return this.#fold ? name.toLowerCase() : name;
  }

  /** Whether it is the source database. */
  isOurs(database: string): boolean {
    return this.#key(database) === this.database;
  }

  find(database: string, table: string): StreamTable | undefined {
    return this.isOurs(database) ? this.#tables.get(this.#key(table)) : undefined;
  }

  /** Tables that a statement may mean. Without `table`: all tables of that database. */
  named(database: string, table?: string): StreamTable[] {
    if (!mayName(database, this.database)) return [];
    const tables = [...this.#tables.values()];
    return table === undefined ? tables : tables.filter(({ codec }) => mayName(table, codec.schema.table));
  }

  /** A definition named this table. Unless it is replicated, it may be one to take in. */
  defined(database: string, table: string): void {
    if (this.#key(database) === this.database && this.find(database, table) === undefined) this.unlisted.add(table);
  }

  /** Tables whose rows change with the rows of this one, without a log entry. Includes tables that were removed already. */
  dependents(database: string, table: string): readonly Dependent[] {
    return this.#children.get(parentKey(database, table)) ?? [];
  }

  has(table: StreamTable): boolean {
    return this.#tables.get(this.#key(table.codec.schema.table)) === table;
  }

  /** Removes a table from the stream until a job reads it again. */
  remove(table: StreamTable): void {
    this.#tables.delete(this.#key(table.codec.schema.table));
  }
}

/** Whether a group of events that starts at `start` is not in the snapshot of the table. */
export function isNewTo(table: StreamTable, start: Position): boolean {
  return comparePositions(start, table.from) >= 0;
}

function parentKey(database: string, table: string): string {
  return `${database}.${table}`.toLowerCase();
}
