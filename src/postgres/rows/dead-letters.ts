import { sql } from 'kysely';
import { type Position, formatPosition } from '../../change/position.ts';
import type { RejectedRow } from '../../change/rejected-row.ts';
import type { TableChanges } from '../../change/table-changes.ts';
import { roomFor } from '../../lifetime/memory.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { Fenced } from '../control/writing.ts';
import type { Reading } from '../session.ts';

/** A table with more dead letters than this is suspended instead. The limit also bounds the memory for their keys. */
export const maxDeadLetters = 100_000;
/** The limit for the rows in one insert statement, in bytes. */
const statementBytes = roomFor(1 / 40, 16 * 1024 * 1024);
/** A larger row is not kept: a parameter in PostgreSQL's hex form must fit into one message and one string. */
const maxKeptBytes = roomFor(1 / 20, 64 * 1024 * 1024);

/**
 * Maintains the dead letters of a replica while the stream runs. A row that cannot be written is kept. A dead letter is resolved when its
 * key is written or deleted later. All keys with a dead letter are held here, so a stream without dead letters costs nothing.
 */
export class DeadLetters {
  readonly #keys: Map<string, Set<string>>;

  private constructor(keys: Map<string, Set<string>>) {
    this.#keys = keys;
  }

  static async load(db: Reading): Promise<DeadLetters> {
    const rows = await db.selectFrom('dead_letters').select(['table_name', 'key']).execute();
    const keys = new Map<string, Set<string>>();
    for (const { table_name, key } of rows) setOf(keys, table_name).add(key.toString('latin1'));
    return new DeadLetters(keys);
  }

  /**
   * Updates the dead letters of a table in `trx`. Dead letters of written or deleted keys are removed, and `rejected` rows are added.
   * `after` is the binlog position before the changes. Raises target-refused if there are more than maxDeadLetters.
   */
  async keep(
    trx: Fenced,
    changes: TableChanges,
    rejected: ReadonlyMap<string, RejectedRow>,
    after: Position,
  ): Promise<void> {
    const { table } = changes.schema;
    const keys = setOf(this.#keys, table);
    if (changes.truncated && keys.size > 0) {
      await trx.deleteFrom('dead_letters').where('table_name', '=', table).execute();
      keys.clear();
    }
    const resolved = resolvedKeys(keys, changes).filter((key) => !rejected.has(key));
    await deleteDeadLetters(trx, table, resolved);
    for (const key of resolved) keys.delete(key);
    for (const key of rejected.keys()) keys.add(key);
    await writeDeadLetters(trx, table, [...rejected.values()], after);
    if (keys.size > maxDeadLetters) await this.#recount(trx, table, keys);
    assertNotTooMany(table, keys.size);
  }

  /** `dead-letters retry` and `discard` remove dead letters in another process, so `keys` may hold too many. */
  async #recount(trx: Fenced, table: string, keys: Set<string>): Promise<void> {
    const rows = await trx.selectFrom('dead_letters').select('key').where('table_name', '=', table).execute();
    keys.clear();
    for (const { key } of rows) keys.add(key.toString('latin1'));
  }
}

/** Raises target-refused for a table with too many dead letters, which suspends it. */
export function assertNotTooMany(table: string, count: number): void {
  if (count <= maxDeadLetters) return;
  throw new TidegateError('target-refused', `table ${table}: more than ${maxDeadLetters} of its rows are refused`, {
    table,
  });
}

function setOf(keys: Map<string, Set<string>>, table: string): Set<string> {
  let set = keys.get(table);
  if (set === undefined) keys.set(table, (set = new Set()));
  return set;
}

/** Keys that have a dead letter and occur in the changes. The smaller set is searched. */
function resolvedKeys(keys: ReadonlySet<string>, changes: TableChanges): string[] {
  if (keys.size === 0) return [];
  if (keys.size < changes.keyCount) return [...keys].filter((key) => changes.has(key));
  return [...changes.keys].filter((key) => keys.has(key));
}

async function deleteDeadLetters(trx: Fenced, table: string, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return;
  await sql`delete from ${sql.table('dead_letters')} where table_name = ${table}
      and sha256(key) in (select sha256(k) from unnest(${keys.map(bytes)}::bytea[]) k)`.execute(trx);
}

/** Writes dead letters. Each replaces an older one of its key. `after` is null for rows of the snapshot. */
export async function writeDeadLetters(
  trx: Fenced,
  table: string,
  rows: readonly RejectedRow[],
  after: Position | null,
): Promise<void> {
  if (rows.length === 0) return;
  const some = withinBytes(rows);
  await writeSome(trx, table, some, after);
  await writeDeadLetters(trx, table, rows.slice(some.length), after);
}

/** The first rows that fit into one statement, at least one. */
function withinBytes(rows: readonly RejectedRow[]): readonly RejectedRow[] {
  let bytes = 0;
  const end = rows.findIndex(({ row }, index) => index > 0 && (bytes += row.length) > statementBytes);
  return end < 0 ? rows : rows.slice(0, end);
}

async function writeSome(
  trx: Fenced,
  table: string,
  rows: readonly RejectedRow[],
  after: Position | null,
): Promise<void> {
  const kept = rows.map(({ row }) => (row.length > maxKeptBytes ? Buffer.alloc(0) : row));
  const reasons = rows.map(({ row, reason }) =>
    row.length > maxKeptBytes ? `${reason}; with ${row.length} bytes it is too large to be kept` : reason,
  );
  await sql`insert into ${sql.table('dead_letters')}
      (table_name, file, "offset", key, reason, column_name, sqlstate, row, format)
    select ${table}, ${after?.file ?? null}, ${after?.offset ?? null}::bigint, l.*
      from unnest(${rows.map(({ key }) => bytes(key))}::bytea[], ${reasons}::text[],
                  ${rows.map(({ column }) => column)}::text[], ${rows.map(({ sqlState }) => sqlState)}::text[],
                  ${kept}::bytea[], ${rows.map(({ format }) => format)}::text[]) as l
    on conflict (table_name, sha256(key)) do update
      set file = excluded.file, "offset" = excluded."offset", at = excluded.at, reason = excluded.reason,
          column_name = excluded.column_name, sqlstate = excluded.sqlstate, row = excluded.row, format = excluded.format`.execute(
    trx,
  );
}

function bytes(key: string): Buffer {
  return Buffer.from(key, 'latin1');
}

/**
 * The error that replaces a dead letter for a table of TABLES_HALT. `after` is the position before the change; null for a row of the
 * snapshot.
 */
export function badRow(
  table: string,
  { reason, column, sqlState }: RejectedRow,
  after: Position | null,
): TidegateError {
  const where = after === null ? 'in the snapshot' : `after ${formatPosition(after)}`;
  return new TidegateError(
    'bad-row',
    `table ${table}${column === null ? '' : `, column ${column}`}: a row ${where} cannot be carried: ${reason}${sqlState === null ? '' : ` (SQLSTATE ${sqlState})`}`,
    { table },
  );
}
