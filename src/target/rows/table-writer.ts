import { isUtf8 } from 'node:buffer';
import { sql } from 'kysely';
import type { RejectedRow } from '../../change/rejected-row.ts';
import type { TableChanges } from '../../change/table-changes.ts';
import type { TableSchema } from '../../change/table-schema.ts';
import { sqlStateOf } from '../../errors/postgres-errors.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import { keysToColumns, linesToColumns } from './copy-lines.ts';
import { checkLines } from './line-check.ts';
import type { Target, TargetSession } from '../session.ts';
import { columnList, loadedAtColumn, quoteIdentifier, quoteTable } from './tables.ts';
import { writeAround } from './write-around.ts';

/** Up to this many rows go as the parameters of one statement; beyond, COPY to a staging table and a merge are quicker. */
const statementRows = 200;
/** After a direct copy met rows that were there, so many large batches go by the merge before it is tried again. */
const mergesAfterConflict = 50;
const uniqueViolation = '23505';
/** Keys per delete statement: bounds the size of one message. */
const deleteRows = 10_000;

/** Writes the changes of one table. Its statements are put together once, from names and types only. */
export class TableWriter {
  readonly #session: TargetSession;
  readonly #schema: TableSchema;
  readonly #table: string;
  readonly #staging: string;
  readonly #columns: string;
  readonly #types: readonly string[];
  readonly #keyNames: readonly string[];
  readonly #keyTypes: readonly string[];
  /** `on conflict (key) do update set …`: a row that is there becomes the row that came. */
  readonly #onConflict: string;
  #hasStaging = false;
  /** Large inserts left to go by the merge, because the last direct copy met rows that were there. */
  #mergesLeft = 0;

  constructor(session: TargetSession, schemaName: string, { schema, codecs }: TableCodec, stagingNumber: number) {
    this.#session = session;
    this.#schema = schema;
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

  /**
   * Writes within the open transaction `trx` of the session. Returns the rows that cannot be written: with `around`, also those
   * that PostgreSQL refuses; without, such a row makes the whole fail, which is quicker where there is none.
   */
  async write(trx: Target, changes: TableChanges, around: boolean): Promise<readonly RejectedRow[]> {
    // Not TRUNCATE, which readers with an older snapshot would see and which waits for every one of them.
    if (changes.truncated) await sql.raw(`delete from ${this.#table}`).execute(trx);
    await this.#delete(trx, changes.deletedKeys());
    if (changes.upsertCount === 0) return [];
    const { lines, rejected } = checkLines(changes.upsertLines(), this.#schema);
    const rows = changes.upsertCount - rejected.length;
    let isNew = changes.onlyInserts;
    if (!around) {
      await this.#upsert(trx, lines, rows, isNew);
      return rejected;
    }
    const refused = await writeAround(trx, lines, this.#schema, async (part, count, before) => {
      if (isNew) {
        // COPY whatever the number: it says where it was refused.
        if (await this.#insertByCopy(trx, part, before)) return;
        isNew = false;
      } else await sql.raw(before).execute(trx);
      await this.#upsert(trx, part, count, false);
    });
    return [...rejected, ...refused];
  }

  /** Outside a transaction: what was staged is needed no more. */
  async dropStaging(): Promise<void> {
    if (this.#hasStaging) await sql.raw(`drop table if exists ${this.#staging}`).execute(this.#session.db);
  }

  async #upsert(trx: Target, lines: Buffer, rows: number, isNew: boolean): Promise<void> {
    if (rows === 0) return;
    if (rows <= statementRows) await this.#upsertByStatement(trx, lines);
    else if (!isNew || !(await this.#insertByCopy(trx, lines))) await this.#upsertByMerge(trx, lines);
  }

  async #delete(trx: Target, deleted: readonly string[]): Promise<void> {
    // A key that is not UTF-8 was never written, and taken for text it would become another one.
    const keys = deleted.filter((key) => isUtf8(Buffer.from(key, 'latin1')));
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

  /**
   * Copies rows that should all be new straight into the table, twice as fast as a merge. False: one was there, as happens
   * while the stream repeats what a snapshot has already; then nothing was written.
   */
  async #insertByCopy(trx: Target, lines: Buffer, before = ''): Promise<boolean> {
    if (this.#mergesLeft > 0) {
      this.#mergesLeft--;
      if (before !== '') await sql.raw(before).execute(trx);
      return false;
    }
    try {
      await this.#session.copy(this.#table, this.#columns, lines, `${before}savepoint direct_copy; `);
      return true;
    } catch (error) {
      if (sqlStateOf(error) !== uniqueViolation) throw error;
      await sql`rollback to savepoint direct_copy`.execute(trx);
      this.#mergesLeft = mergesAfterConflict;
      return false;
    }
  }

  async #upsertByMerge(trx: Target, lines: Buffer): Promise<void> {
    if (this.#hasStaging) await sql.raw(`truncate ${this.#staging}`).execute(trx);
    else
      await sql
        .raw(
          `create temporary table if not exists ${this.#staging.slice('pg_temp.'.length)} as select ${this.#columns} from ${this.#table} with no data`,
        )
        .execute(trx);
    await this.#session.copy(this.#staging, this.#columns, lines);
    await sql
      .raw(
        `insert into ${this.#table} (${this.#columns}, ${loadedAtColumn}) select ${this.#columns}, now() from ${this.#staging} ${this.#onConflict}`,
      )
      .execute(trx);
    this.#hasStaging = true;
  }
}
