import { type Position, comparePositions } from '../../change/position.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';

/** A replicated table, as the stream must read it. */
export interface StreamTable {
  readonly codec: TableCodec;
  /** Changes before this place are in the snapshot already. */
  readonly from: Position;
}

/**
 * The tables the stream carries. Names are looked up as the server compares them: byte by byte, or folded where
 * lower_case_table_names is not 0, when the binlog spells them in lower case whatever the catalog does
 * (https://dev.mysql.com/doc/refman/8.4/en/identifier-case-sensitivity.html).
 */
export class StreamTables {
  readonly database: string;
  readonly #fold: boolean;
  readonly #tables = new Map<string, StreamTable>();

  constructor(database: string, foldNames: boolean, tables: readonly StreamTable[]) {
    this.#fold = foldNames;
    this.database = this.#key(database);
    for (const table of tables) this.#tables.set(this.#key(table.codec.schema.table), table);
  }

  #key(name: string): string {
    return this.#fold ? name.toLowerCase() : name;
  }

  find(database: string, table: string): StreamTable | undefined {
    return this.#key(database) === this.database ? this.#tables.get(this.#key(table)) : undefined;
  }

  /**
   * Tables a statement may mean, names compared without case: one too many is parked sooner than one too few.
   */
  named(database: string, names: (table: string) => boolean): StreamTable[] {
    if (database.toLowerCase() !== this.database.toLowerCase()) return [];
    return [...this.#tables.values()].filter((table) => names(table.codec.schema.table.toLowerCase()));
  }

  /** The stream is done with this table until it is resynced. */
  remove(table: StreamTable): void {
    this.#tables.delete(this.#key(table.codec.schema.table));
  }
}

/** Whether a group of events that begins at `start` is news to the table. */
export function isNewTo(table: StreamTable, start: Position): boolean {
  return comparePositions(start, table.from) >= 0;
}
