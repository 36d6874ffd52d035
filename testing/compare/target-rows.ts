import { Client, type ClientConfig, escapeIdentifier } from 'pg';
import { type ComparedColumn, targetCanonical } from './canonical.ts';
import type { CanonicalRow } from './source-rows.ts';

const rowsPerFetch = 2000;

/** A session at the target whose settings fix the text of every value, with instants in UTC. */
export class TargetRows {
  readonly #client: Client;
  readonly #schema: string;

  private constructor(client: Client, schema: string) {
    this.#client = client;
    this.#schema = schema;
  }

  static async open(options: ClientConfig, schema: string): Promise<TargetRows> {
    const client = new Client(options);
    await client.connect();
    await client.query(
      `set timezone = 'UTC'; set datestyle = 'ISO, YMD'; set intervalstyle = 'postgres';
       set extra_float_digits = 3; set bytea_output = 'hex'; set client_encoding = 'UTF8'; set statement_timeout = 0`,
    );
    return new TargetRows(client, schema);
  }

  async close(): Promise<void> {
    await this.#client.end();
  }

  /** The type of each column of a table; undefined if the table does not exist. */
  async columns(table: string): Promise<Map<string, string> | undefined> {
    const { rows } = await this.#client.query<[string, string]>({
      text: `select column_name::text, udt_name::text from information_schema.columns
             where table_schema = $1 and table_name = $2`,
      values: [this.#schema, table],
      rowMode: 'array',
    });
    return rows.length === 0 ? undefined : new Map(rows);
  }

  /** Streams a table in batches through a cursor. */
  async *rows(table: string, columns: readonly ComparedColumn[]): AsyncGenerator<CanonicalRow> {
    const canonical = columns.map(targetCanonical);
    const list = columns.map(asText).join(', ');
    const from = `${escapeIdentifier(this.#schema)}.${escapeIdentifier(table)}`;
    await this.#client.query('begin isolation level repeatable read read only');
    try {
      await this.#client.query(`declare compared no scroll cursor for select ${list} from ${from}`);
      for (;;) {
        const { rows } = await this.#client.query<(string | null)[]>({
          text: `fetch ${rowsPerFetch} from compared`,
          rowMode: 'array',
        });
        if (rows.length === 0) break;
        for (const row of rows) {
          yield row.map((value, index) => (value === null ? null : (canonical[index]?.(value) ?? null)));
        }
      }
    } finally {
      await this.#client.query('rollback');
    }
  }
}

function asText({ name, target }: ComparedColumn): string {
  const column = escapeIdentifier(name);
  // The text of an array is ambiguous to parse, and the text of an address includes its mask.
  if (target === '_text') return `array_to_json(${column})::text`;
  return target === 'inet' ? `host(${column})` : `${column}::text`;
}
