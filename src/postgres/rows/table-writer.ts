import { isUtf8 } from 'node:buffer';
import { sql } from 'kysely';
import type { RejectedRow } from '../../change/rejected-row.ts';
import type { TableChanges } from '../../change/table-changes.ts';
import type { TableSchema } from '../../definition/table-schema.ts';
import { sqlStateOf } from '../../errors/postgres-errors.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import { keysToColumns, linesToColumns } from './copy-lines.ts';
import { checkLines } from './line-check.ts';
import type { Target, TargetSession } from '../session.ts';
import { columnList, loadedAtColumn, quoteIdentifier, quoteTable, stagedLine } from './tables.ts';
import { stageIsolating } from './stage-isolated.ts';
import { type WriteRuns, copyRuns, writeIsolating } from './isolate-rows.ts';

/** Up to this many rows are sent as parameters of one statement. For more rows, COPY to a staging table and a merge are faster. */
const statementRows = 200;
/** The same limit in bytes. They are converted to strings on the way. */
const statementBytes = 1024 * 1024;
/** After a direct COPY found existing rows, this many large batches use the merge before the next direct COPY. */
const mergesAfterConflict = 50;
const uniqueViolation = '23505';
/** Keys per delete statement. It bounds the size of one message. */
const deleteRows = 10_000;

/** Writes the changes of one table. Its statements are built once, from names and types only. */
export class TableWriter {
  readonly #session: TargetSession;
  readonly #schema: TableSchema;
  readonly #table: string;
  readonly #staging: string;
  readonly #columns: string;
  readonly #types: readonly string[];
  readonly #keyNames: readonly string[];
  readonly #keyTypes: readonly string[];
  /** `on conflict (key) do update set …`: a new row replaces an existing row. */
  readonly #onConflict: string;
  #hasStaging = false;
  /** Large inserts that still use the merge, because the last direct COPY found existing rows. */
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
   * Writes inside the open transaction `trx` of the session. Returns the rows that cannot be written. With `isolate` 'refused' or
   * 'suspected', they include rows that PostgreSQL refuses; 'suspected' expects some. With 'no', a refused row fails the entire write,
   * which is faster when there is none.
   */
  async write(
    trx: Target,
    changes: TableChanges,
    isolate: 'no' | 'refused' | 'suspected',
  ): Promise<readonly RejectedRow[]> {
    // Not TRUNCATE: readers with an older snapshot would see it, and it waits for every reader.
    if (changes.truncated) await sql.raw(`delete from ${this.#table}`).execute(trx);
    await this.#delete(trx, changes.deletedKeys());
    if (changes.upsertCount === 0) return [];
    const { lines, rejected } = checkLines(changes.upsertLines(), this.#schema);
    if (isolate === 'no') {
      await this.#upsert(trx, lines, changes.upsertCount - rejected.length, changes.onlyInserts);
      return rejected;
    }
    const refused = await this.#writeIsolating(trx, lines, changes.onlyInserts, isolate === 'suspected');
    return [...rejected, ...refused];
  }

  /**
   * Copies directly into the table if no row exists there yet. It uses COPY for any number of rows, because COPY names the refused line.
   */
  async #writeIsolating(trx: Target, lines: Buffer, isNew: boolean, isSuspected: boolean): Promise<RejectedRow[]> {
    if (!isNew || this.#mergesLeft > 0) return await this.#mergeIsolating(trx, lines, isSuspected);
    const there: Buffer[] = [];
    const copy = copyRuns(this.#session, this.#table, this.#schema);
    const write: WriteRuns = async (runs, before, after) => {
      const outcomes = await copy(runs, before, after);
      return outcomes.map((error, index) => {
        if (sqlStateOf(error) !== uniqueViolation) return error;
        there.push(...(runs[index]?.lines ?? []));
        return null;
      });
    };
    const relations = [this.#schema.table];
    const refused = await writeIsolating(trx, lines, this.#schema, write, { relations, isSuspected });
    if (there.length === 0) return refused;
    this.#mergesLeft = mergesAfterConflict;
    return [...refused, ...(await this.#mergeIsolating(trx, Buffer.concat(there), isSuspected))];
  }

  /**
   * Stages the lines in a table with the same constraints and merges from there. COPY names the rows that break a constraint. Errors that
   * only the merge raises, for example from a trigger, are located by halving.
   */
  async #mergeIsolating(trx: Target, lines: Buffer, isSuspected: boolean): Promise<RejectedRow[]> {
    const staging = 'tidegate_checked';
    await sql
      .raw(
        `create temporary table ${staging} (${stagedLine} bigint generated always as identity primary key, like ${this.#table} including constraints including defaults)`,
      )
      .execute(trx);
    const staged = await stageIsolating(this.#session, trx, staging, lines, this.#schema, isSuspected);
    const merge: WriteRuns = async (runs, before, after) =>
      await this.#session.copyEach(
        runs.map(({ rows }) => {
          const which = rows.map(({ from, to }) => `${stagedLine} > ${from} and ${stagedLine} <= ${to}`).join(' or ');
          return { statement: `${before}${this.#mergeFrom(`pg_temp.${staging} where ${which}`)}${after}`, lines: [] };
        }),
      );
    const refused = await writeIsolating(trx, staged.lines, this.#schema, merge, { relations: [], isSuspected: false });
    await sql.raw(`drop table pg_temp.${staging}`).execute(trx);
    return [...staged.refused, ...refused];
  }

  /** Drops the staging table, outside a transaction. The staged rows are no longer needed. */
  async dropStaging(): Promise<void> {
    if (this.#hasStaging) await sql.raw(`drop table if exists ${this.#staging}`).execute(this.#session.db);
  }

  async #upsert(trx: Target, lines: Buffer, rows: number, isNew: boolean): Promise<void> {
    if (rows === 0) return;
    if (rows <= statementRows && lines.length <= statementBytes) await this.#upsertByStatement(trx, lines);
    else if (!isNew || !(await this.#insertByCopy(trx, lines))) await this.#upsertByMerge(trx, lines);
  }

  async #delete(trx: Target, deleted: readonly string[]): Promise<void> {
    // A key that is not UTF-8 was never written. Decoded as text, it would become another key.
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
   * Copies rows that should all be new directly into the table, twice as fast as a merge. Returns false, with nothing written, if a row
   * already exists or did recently. This happens while the stream repeats rows of a snapshot.
   */
  async #insertByCopy(trx: Target, lines: Buffer): Promise<boolean> {
    if (this.#mergesLeft > 0) {
      this.#mergesLeft--;
      return false;
    }
    try {
      await this.#session.copy(this.#table, this.#columns, lines, 'savepoint direct_copy; ');
      return true;
    } catch (error) {
      if (sqlStateOf(error) !== uniqueViolation) throw error;
      await sql`rollback to savepoint direct_copy`.execute(trx);
      this.#mergesLeft = mergesAfterConflict;
      return false;
    }
  }

  async #upsertByMerge(trx: Target, lines: Buffer): Promise<void> {
    await this.#emptyStaging(trx);
    await this.#session.copy(this.#staging, this.#columns, lines);
    await sql.raw(this.#mergeFrom(this.#staging)).execute(trx);
  }

  #mergeFrom(relation: string): string {
    return `insert into ${this.#table} (${this.#columns}, ${loadedAtColumn}) select ${this.#columns}, now() from ${relation} ${this.#onConflict}`;
  }

  async #emptyStaging(trx: Target): Promise<void> {
    if (this.#hasStaging) await sql.raw(`truncate ${this.#staging}`).execute(trx);
    else
      await sql
        .raw(
          `create temporary table ${this.#staging.slice('pg_temp.'.length)} as select ${this.#columns} from ${this.#table} with no data`,
        )
        .execute(trx);
    this.#hasStaging = true;
  }
}
