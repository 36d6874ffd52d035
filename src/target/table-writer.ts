import { sql } from 'kysely';
import type { TableChanges } from '../change/table-changes.ts';
import type { TableCodec } from '../mapping/table-codec.ts';
import { keysToColumns, linesToColumns } from './copy-lines.ts';
import type { Target, TargetSession } from './session.ts';
import { columnList, loadedAtColumn, quoteIdentifier, quoteTable } from './tables.ts';

/** Up to this many rows go as the parameters of one statement; beyond, COPY to a staging table and a merge are quicker. */
const statementRows = 200;
/** Keys per delete statement: bounds the size of one message. */
const deleteRows = 10_000;

/** Writes the changes of one table. Its statements are put together once, from names and types only. */
export class TableWriter {
  readonly #session: TargetSession;
  readonly #table: string;
  readonly #staging: string;
  readonly #columns: string;
  readonly #types: readonly string[];
  readonly #keyNames: readonly string[];
  readonly #keyTypes: readonly string[];
  /** `on conflict (key) do update set …`: a row that is there becomes the row that came. */
  readonly #onConflict: string;
  #hasStaging = false;

  constructor(session: TargetSession, schemaName: string, { schema, codecs }: TableCodec, stagingNumber: number) {
    this.#session = session;
    this.#table = quoteTable(schemaName, schema.table);
    this.#staging = `pg_temp.tidegate_staging_${stagingNumber}`;
    this.#columns = columnList(schema);
    this.#types = codecs.map(({ pgType }) => pgType);
    const names = schema.columns.map(({ name }) => quoteIdentifier(name));
    this.#keyNames = schema.primaryKey.map((index) => names[index] as string);
    this.#keyTypes = schema.primaryKey.map((index) => this.#types[index] as string);
    const assignments = names
      .filter((name) => !this.#keyNames.includes(name))
      .map((name) => `${name} = excluded.${name}`);
    assignments.push(`${loadedAtColumn} = excluded.${loadedAtColumn}`);
    this.#onConflict = `on conflict (${this.#keyNames.join(', ')}) do update set ${assignments.join(', ')}`;
  }

  /** Writes within the open transaction `trx` of the session. */
  async write(trx: Target, changes: TableChanges): Promise<void> {
    // Not TRUNCATE, which readers with an older snapshot would see and which waits for every one of them.
    if (changes.truncated) await sql.raw(`delete from ${this.#table}`).execute(trx);
    await this.#delete(trx, changes.deletedKeys());
    const { upsertCount } = changes;
    if (upsertCount === 0) return;
    const lines = changes.upsertLines();
    if (upsertCount <= statementRows) await this.#upsertByStatement(trx, lines);
    else await this.#upsertByCopy(trx, lines);
  }

  async #delete(trx: Target, keys: readonly string[]): Promise<void> {
    const on = this.#keyNames.map((name, i) => `t.${name} = k.k${i}::${this.#keyTypes[i]}`).join(' and ');
    for (let from = 0; from < keys.length; from += deleteRows) {
      const columns = keysToColumns(keys.slice(from, from + deleteRows), this.#keyNames.length);
      const arrays = sql.join(columns.map((values) => sql`${values}::text[]`));
      const names = sql.raw(columns.map((_, i) => `k${i}`).join(', '));
      await sql`delete from ${sql.raw(this.#table)} t using unnest(${arrays}) as k(${names}) where ${sql.raw(on)}`.execute(
        trx,
      );
    }
  }

  async #upsertByStatement(trx: Target, lines: Buffer): Promise<void> {
    const columns = linesToColumns(lines, this.#types.length);
    const arrays = sql.join(columns.map((values) => sql`${values}::text[]`));
    const names = columns.map((_, i) => `c${i}`);
    const values = names.map((name, i) => `${name}::${this.#types[i]}`).join(', ');
    await sql`insert into ${sql.raw(`${this.#table} (${this.#columns}, ${loadedAtColumn})`)}
      select ${sql.raw(`${values}, now()`)} from unnest(${arrays}) as line(${sql.raw(names.join(', '))})
      ${sql.raw(this.#onConflict)}`.execute(trx);
  }

  async #upsertByCopy(trx: Target, lines: Buffer): Promise<void> {
    if (this.#hasStaging) await sql.raw(`truncate ${this.#staging}`).execute(trx);
    else
      await sql
        .raw(
          `create temporary table if not exists ${this.#staging.slice('pg_temp.'.length)} as select ${this.#columns} from ${this.#table} with no data`,
        )
        .execute(trx);
    await this.#session.copy(this.#staging, this.#columns, [lines]);
    await sql
      .raw(
        `insert into ${this.#table} (${this.#columns}, ${loadedAtColumn}) select ${this.#columns}, now() from ${this.#staging} ${this.#onConflict}`,
      )
      .execute(trx);
    this.#hasStaging = true;
  }
}
