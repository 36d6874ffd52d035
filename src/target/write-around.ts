import { sql } from 'kysely';
import { isRowRefusal, raisedBy, sqlStateOf } from '../errors/postgres-errors.ts';
import type { RejectedRow } from '../change/rejected-row.ts';
import type { TableSchema } from '../change/table-schema.ts';
import { lineStarts, rejectedLine } from './rejected-lines.ts';
import type { Target } from './session.ts';

/** Rows tried after a refused one, when nothing is known yet about how far apart such rows are. */
const firstWindow = 64;

/**
 * Writes COPY lines of which PostgreSQL may refuse some, and returns those. A run of rows is written inside a savepoint; when it
 * is refused it is taken back and cut, until the refused row stands alone. Every row is judged by its own attempt.
 *
 * COPY says in its context which line it was at, which tells where to cut. That is text in the server's language, so it is only
 * ever a guess: a wrong one costs attempts and changes nothing else.
 */
export async function writeAround(
  trx: Target,
  lines: Buffer,
  schema: TableSchema,
  write: (lines: Buffer, rows: number) => Promise<void>,
): Promise<RejectedRow[]> {
  const starts = lineStarts(lines);
  const count = starts.length - 1;
  const rejected: RejectedRow[] = [];
  let window = count;
  /** Rows from `at` to here hold one that is refused; before `suspect` there is none of them, if the guess was right. */
  let refusedBefore = 0;
  let suspect = -1;
  let lastRejected = -1;
  await sql`savepoint row_window`.execute(trx);
  for (let at = 0; at < count;) {
    const end = Math.min(at + window, count);
    const part = lines.subarray(starts[at], starts[end]);
    try {
      await write(part, end - at);
      at = end;
      if (at === suspect) window = 1;
      else window = at < refusedBefore ? Math.ceil((refusedBefore - at) / 2) : Math.max(window, firstWindow) * 2;
      await sql.raw('release savepoint row_window; savepoint row_window').execute(trx);
    } catch (error) {
      if (!isRowRefusal(error)) throw error;
      await sql`rollback to savepoint row_window`.execute(trx);
      if (end - at > 1) {
        refusedBefore = end;
        window = cutAt(error, schema.table, end - at);
        suspect = at + window;
        continue;
      }
      rejected.push(
        rejectedLine(part, schema, {
          reason: 'PostgreSQL refused it: look for constraints, triggers or changed columns of the table at the target',
          column: columnOf(error),
          sqlState: sqlStateOf(error),
        }),
      );
      // Such rows tend to come as densely as they came.
      window = Math.max(8, lastRejected < 0 ? firstWindow : (at - lastRejected) * 4);
      lastRejected = at;
      at = end;
      refusedBefore = 0;
    }
  }
  await sql`release savepoint row_window`.execute(trx);
  return rejected;
}

/** How many of the rows to try next: all before the one that COPY names, else half. */
function cutAt(error: unknown, table: string, rows: number): number {
  const { where } = raisedBy(error);
  if (typeof where === 'string' && where.startsWith('COPY')) {
    const named = /\d+/.exec(where.replace(table, ''));
    const before = Number(named?.[0] ?? 0) - 1;
    if (before > 0 && before < rows) return before;
    if (before === 0) return 1;
  }
  return Math.ceil(rows / 2);
}

function columnOf(error: unknown): string | null {
  const { column } = raisedBy(error);
  return typeof column === 'string' ? column : null;
}
