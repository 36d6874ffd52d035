import { sql } from 'kysely';
import type { RejectedRow } from '../../change/rejected-row.ts';
import { isRowRefusal } from '../../errors/postgres-errors.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import { checkLines, lineStarts } from './line-check.ts';
import type { TargetSession } from '../session.ts';
import { stageIsolating } from './stage-isolated.ts';
import { type TargetKeyRange, TableKey } from './table-key.ts';
import { columnList, quoteIdentifier, stagedLine } from './tables.ts';

/** What was staged: the lines given but for those that cannot be written. */
export interface Staged {
  readonly lines: Buffer;
  readonly rejected: readonly RejectedRow[];
}

/** The number of a row's line, from 0 on, in a staging table `side`. */
export const lineNumber = (side: string) => `${side}.${stagedLine} - 1`;

/** Rows of the source, as PostgreSQL would store them, in a table that this session alone has. */
export class ComparedRows {
  /** Its name in SQL. */
  readonly table: string;
  readonly #name: string;
  readonly #session: TargetSession;
  readonly #codec: TableCodec;
  readonly #key: TableKey;
  readonly #columns: string;
  #isMade = false;

  /** `name`, a plain word: the session has no other of that name. */
  constructor(session: TargetSession, codec: TableCodec, name: string) {
    this.table = `pg_temp.${name}`;
    this.#name = name;
    this.#session = session;
    this.#codec = codec;
    this.#key = new TableKey(codec);
    this.#columns = columnList(codec.schema);
  }

  /** Holds these COPY lines and no others. Raises internal where rows are missing then, or, with a range, outside of it. */
  async fill(given: Buffer, range: TargetKeyRange | null): Promise<Staged> {
    const { schema } = this.#codec;
    const checked = checkLines(given, schema);
    await this.#empty();
    if (checked.lines.length === 0) return checked;
    const { lines, refused } = await this.#copyIsolating(checked.lines);
    await this.#validate(lines, range);
    return { lines, rejected: [...checked.rejected, ...refused] };
  }

  async #copyIsolating(lines: Buffer): Promise<{ lines: Buffer; refused: readonly RejectedRow[] }> {
    try {
      await this.#session.copy(this.table, this.#columns, lines);
      return { lines, refused: [] };
    } catch (error) {
      if (!isRowRefusal(error)) throw error;
    }
    return await this.#session.transaction(async (trx) => {
      await this.#empty();
      return await stageIsolating(this.#session, trx, this.#name, lines, this.#codec.schema, true);
    });
  }

  async #empty(): Promise<void> {
    const { db } = this.#session;
    if (this.#isMade) {
      await sql.raw(`truncate ${this.table} restart identity`).execute(db);
      return;
    }
    const { schema, codecs } = this.#codec;
    const columns = schema.columns.map(({ name }, index) => `${quoteIdentifier(name)} ${codecs[index]?.pgType}`);
    const key = schema.primaryKey.map((index) => quoteIdentifier(schema.columns[index]?.name ?? ''));
    // Its key refuses what would make one row of two.
    await sql
      .raw(
        `create temporary table ${this.table.slice('pg_temp.'.length)} (${stagedLine} bigint generated always as identity, ${columns.join(', ')}, primary key (${key.join(', ')}))`,
      )
      .execute(db);
    this.#isMade = true;
  }

  async #validate(lines: Buffer, range: TargetKeyRange | null): Promise<void> {
    const isInside = range === null ? sql`true` : this.#key.inRange('s', range);
    const { rows } = await sql<{ all: string; inside: string }>`
      select count(*) as all, count(*) filter (where ${isInside}) as inside from ${sql.raw(this.table)} s`.execute(
      this.#session.db,
    );
    const read = lineStarts(lines).length - 1;
    const [counted] = rows;
    if (Number(counted?.all) !== read || Number(counted?.inside) !== read)
      throw new TidegateError(
        'internal',
        `table ${this.#codec.schema.table}: of ${read} rows read, ${counted?.all} were staged and ${counted?.inside} are in the range asked for`,
      );
  }
}
