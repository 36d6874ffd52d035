import { sql } from 'kysely';
import type { RejectedRow } from '../../change/rejected-row.ts';
import { isRowRefusal } from '../../errors/postgres-errors.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import { checkLines, lineStarts } from './line-check.ts';
import type { Target, WritingSession } from '../session.ts';
import { stageIsolating } from './stage-isolated.ts';
import { type TargetKeyRange, TableKey } from './table-key.ts';
import { columnList, quoteIdentifier, stagedLine } from './tables.ts';

/** The staged lines: the given lines without those that cannot be written. */
export interface Staged {
  readonly lines: Buffer;
  readonly rejected: readonly RejectedRow[];
}

/** SQL for the line number of a row, from 0, in the staging table `side`. */
export const lineNumber = (side: string) => `${side}.${stagedLine} - 1`;

/** A temporary table with rows of the source as PostgreSQL stores them. Only this session sees it. */
export class ComparedRows {
  /** Its name in SQL. */
  readonly table: string;
  readonly #name: string;
  readonly #session: WritingSession;
  readonly #codec: TableCodec;
  readonly #key: TableKey;
  readonly #columns: string;
  #isMade = false;

  /** `name` is a plain word that is unique in the session. */
  constructor(session: WritingSession, codec: TableCodec, name: string) {
    this.table = `pg_temp.${name}`;
    this.#name = name;
    this.#session = session;
    this.#codec = codec;
    this.#key = new TableKey(codec);
    this.#columns = columnList(codec.schema);
  }

  /** Replaces the contents with these COPY lines. Raises internal when rows are missing afterwards, or lie outside of the given range. */
  async fill(given: Buffer, range: TargetKeyRange | null): Promise<Staged> {
    const { schema } = this.#codec;
    const checked = checkLines(given, schema);
    const stage = async (isolates: boolean) =>
      await this.#session.transaction(async (trx) => {
        await this.#empty(trx);
        if (checked.lines.length === 0) return checked;
        const { lines, refused } = await this.#copy(trx, checked.lines, isolates);
        await this.#validate(trx, lines, range);
        return { lines, rejected: [...checked.rejected, ...refused] };
      });
    const staged = await stage(false).catch(async (error: unknown) => {
      if (!isRowRefusal(error)) throw error;
      return await stage(true);
    });
    this.#isMade = true;
    return staged;
  }

  async #copy(
    trx: Target,
    lines: Buffer,
    isolates: boolean,
  ): Promise<{ lines: Buffer; refused: readonly RejectedRow[] }> {
    if (isolates) return await stageIsolating(this.#session, trx, this.#name, lines, this.#codec.schema, true);
    await this.#session.copy(this.table, this.#columns, lines);
    return { lines, refused: [] };
  }

  async #empty(trx: Target): Promise<void> {
    if (this.#isMade) {
      await sql.raw(`truncate ${this.table} restart identity`).execute(trx);
      return;
    }
    const { schema, codecs } = this.#codec;
    const columns = schema.columns.map(({ name }, index) => `${quoteIdentifier(name)} ${codecs[index]?.pgType}`);
    const key = schema.primaryKey.map((index) => quoteIdentifier(schema.columns[index]?.name ?? ''));
    // The key refuses two rows that PostgreSQL would treat as one.
    await sql
      .raw(
        `create temporary table ${this.table.slice('pg_temp.'.length)} (${stagedLine} bigint generated always as identity, ${columns.join(', ')}, primary key (${key.join(', ')}))`,
      )
      .execute(trx);
  }

  async #validate(trx: Target, lines: Buffer, range: TargetKeyRange | null): Promise<void> {
    const isInside = range === null ? sql`true` : this.#key.inRange('s', range);
    const { rows } = await sql<{ all: string; inside: string }>`
      select count(*) as all, count(*) filter (where ${isInside}) as inside from ${sql.raw(this.table)} s`.execute(trx);
    const read = lineStarts(lines).length - 1;
    const [counted] = rows;
    if (Number(counted?.all) !== read || Number(counted?.inside) !== read)
      throw new TidegateError(
        'internal',
        `table ${this.#codec.schema.table}: of ${read} rows read, ${counted?.all} were staged and ${counted?.inside} are in the range asked for`,
      );
  }
}
