import mysql, { type Connection, type ConnectionOptions } from 'mysql2';
import { type ComparedColumn, sourceCanonical } from './canonical.ts';

/** A row as one canonical text per compared column, in column order. */
export type CanonicalRow = (string | null)[];

export interface SourceTable {
  readonly name: string;
  readonly columns: readonly Omit<ComparedColumn, 'target'>[];
  /** Columns of the primary key; empty without one. */
  readonly key: readonly string[];
}

/** A session at the source that reads the server's text of every value, with instants in UTC. */
export class SourceRows {
  readonly #connection: Connection;
  readonly #database: string;
  readonly #byKey: boolean;

  private constructor(connection: Connection, database: string, byKey: boolean) {
    this.#connection = connection;
    this.#database = database;
    this.#byKey = byKey;
  }

  /** `byKey`: rows are read through the primary key, which in a damaged table leads to others than a scan. */
  static async open(options: ConnectionOptions, database: string, byKey: boolean): Promise<SourceRows> {
    const connection = mysql.createConnection({ ...options, database, charset: 'utf8mb4', rowsAsArray: true });
    // These settings exclude the server's default modes (one of them pads char) and its assumption about the client's character
    // set.
    await connection.promise().query('set names utf8mb4');
    await connection.promise().query("set time_zone = '+00:00', sql_mode = ''");
    // The session must survive a pause while the target is read.
    await connection.promise().query('set net_write_timeout = 600');
    return new SourceRows(connection, database, byKey);
  }

  close(): void {
    this.#connection.destroy();
  }

  async tables(): Promise<SourceTable[]> {
    const keys = await this.#catalog(
      `select table_name, column_name from information_schema.statistics
       where table_schema = ? and index_name = 'PRIMARY' order by table_name, seq_in_index`,
    );
    const columns = await this.#catalog(
      `select c.table_name, c.column_name, c.data_type, c.numeric_precision
       from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
       where c.table_schema = ? and t.table_type = 'BASE TABLE' order by c.table_name, c.ordinal_position`,
    );
    const byTable = Map.groupBy(columns, ([table]) => String(table));
    return [...byTable].map(([name, rows]) => {
      const key = keys.filter(([table]) => table === name).map(([, column]) => String(column));
      return {
        name,
        columns: rows.map(([, column, type, precision]) => ({
          name: String(column),
          type: String(type).toLowerCase(),
          precision: precision === null ? null : Number(precision),
        })),
        key,
      };
    });
  }

  async #catalog(query: string): Promise<unknown[][]> {
    const [rows] = await this.#connection.promise().query(query, [this.#database]);
    return rows as unknown[][];
  }

  /** Streams a table and holds only the stream's buffer in memory. */
  async *rows({ name: table, key }: SourceTable, columns: readonly ComparedColumn[]): AsyncGenerator<CanonicalRow> {
    const canonical = columns.map(sourceCanonical);
    // The server rounds the text of a float to six digits; as a double it prints all digits. `* 1e0` keeps a negative zero, `+
    // 0e0` does not.
    const list = columns.map(({ name, type }) => (type === 'float' ? `${quoted(name)} * 1e0` : quoted(name)));
    // Without an order the server may scan all the same.
    const way = this.#byKey && key.length > 0 ? ` force index (primary) order by ${key.map(quoted).join(', ')}` : '';
    const stream = this.#connection
      .query({
        sql: `select ${list.join(', ')} from ${quoted(this.#database)}.${quoted(table)}${way}`,
        rowsAsArray: true,
        typeCast: (field) => field.buffer(),
      })
      .stream({ highWaterMark: 1000 });
    for await (const row of stream as AsyncIterable<(Buffer | null)[]>) {
      yield row.map((value, index) => (value === null ? null : (canonical[index]?.(value) ?? null)));
    }
  }
}

function quoted(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}
