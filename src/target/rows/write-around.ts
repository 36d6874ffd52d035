import { sql } from 'kysely';
import { isRowRefusal, raisedBy, sqlStateOf } from '../../errors/postgres-errors.ts';
import type { RejectedRow } from '../../change/rejected-row.ts';
import type { TableSchema } from '../../change/table-schema.ts';
import { lineStarts, rejectedLine } from './line-check.ts';
import type { Target } from '../session.ts';

const firstRun = 2_048;
const leastRun = 8;
/** `COPY` says in its context which line it was at. */
const copyContext = /^COPY /;

/**
 * Writes COPY lines of which PostgreSQL may refuse some, and returns those. Rows are written in runs, each inside a savepoint. A
 * run that is refused is taken back and tried again without the row that COPY names, or, where nothing is named, cut in half.
 * A row is rejected only if it is refused alone, or if its run is refused with it and not without it. So a wrong guess costs an
 * attempt and nothing else; and the name is a number in a text of the server's language, so it can only be a guess.
 *
 * `write` runs the statements `before` first.
 */
export async function writeAround(
  trx: Target,
  lines: Buffer,
  schema: TableSchema,
  write: (lines: Buffer, rows: number, before: string) => Promise<void>,
): Promise<RejectedRow[]> {
  const starts = lineStarts(lines);
  const count = starts.length - 1;
  const rejected: RejectedRow[] = [];
  let before: string = savepoint.first;
  /** Undefined: written. */
  const attempt = async (part: Buffer, rows: number): Promise<Refusal | undefined> => {
    try {
      await write(part, rows, before);
      before = savepoint.keep;
      return undefined;
    } catch (error) {
      if (!isRowRefusal(error)) throw error;
      before = savepoint.takeBack;
      return { error };
    }
  };
  const lineOf = (row: number) => lines.subarray(starts[row], starts[row + 1]);
  const reject = (row: number, refusal: Refusal) => rejected.push(rejectedLine(lineOf(row), schema, reasonOf(refusal)));

  let run = firstRun;
  for (let at = 0; at < count;) {
    let end = Math.min(at + run, count);
    let suspects: number[] = [];
    let found = 0;
    /** The last attempt failed with this row and all that is left now. */
    let last: { readonly row: number; readonly refusal: Refusal } | null = null;
    while (end - at > 1 && end - at > suspects.length) {
      const refusal = await attempt(without(lines, starts, at, end, suspects), end - at - suspects.length);
      if (refusal === undefined) {
        // With this row the run was refused, and without it it was not.
        if (last !== null) {
          const { row } = last;
          reject(row, last.refusal);
          suspects = suspects.filter((other) => other !== row);
          found++;
        }
        break;
      }
      const suspect = named(refusal, schema.table, at, end, suspects);
      if (suspect !== null) {
        // What lies far behind the first one would be tried again and again with it.
        const near = suspects.length === 0 ? Math.min(end, at + Math.max(leastRun, 4 * (suspect - at))) : end;
        last = near === end ? { row: suspect, refusal } : null;
        end = near;
        suspects = [...suspects, suspect].toSorted((a, b) => a - b);
      } else {
        end = at + Math.ceil((end - at) / 2);
        suspects = suspects.filter((row) => row < end);
        last = null;
      }
    }
    if (end - at === 1) suspects = [at];
    for (const row of suspects) {
      const refusal = await attempt(lineOf(row), 1);
      if (refusal === undefined) continue;
      reject(row, refusal);
      found++;
    }
    // About as many as hold one that is refused, if they go on as they came.
    run = found === 0 ? (end - at) * 4 : Math.max(leastRun, Math.ceil(((end - at) * 1.3) / found));
    at = end;
  }
  if (before !== savepoint.first) await sql.raw(`${before}${savepoint.end}`).execute(trx);
  return rejected;
}

interface Refusal {
  readonly error: unknown;
}

/** Statements between the attempts, sent along with the next one. */
const savepoint = {
  first: 'savepoint row_window; ',
  keep: 'release savepoint row_window; savepoint row_window; ',
  takeBack: 'rollback to savepoint row_window; ',
  end: 'release savepoint row_window',
} as const;

/** The lines of rows `at` to `end` but for those of `skipped`, which ascend. */
function without(
  lines: Buffer,
  starts: readonly number[],
  at: number,
  end: number,
  skipped: readonly number[],
): Buffer {
  if (skipped.length === 0) return lines.subarray(starts[at], starts[end]);
  const runs = [...skipped, end].map((row, index) =>
    lines.subarray(starts[index === 0 ? at : (skipped[index - 1] as number) + 1], starts[row]),
  );
  return Buffer.concat(runs);
}

/** The row that COPY was at, counted without those of `skipped`; null: it does not say. */
function named({ error }: Refusal, table: string, at: number, end: number, skipped: readonly number[]): number | null {
  const { where } = raisedBy(error);
  const context = typeof where === 'string' ? where.split('\n').find((line) => copyContext.test(line)) : undefined;
  const line = Number(/\d+/.exec(context?.replace(table, '') ?? '')?.[0] ?? 0);
  if (line < 1) return null;
  let row = at + line - 1;
  for (const other of skipped) if (other <= row) row++;
  return row < end ? row : null;
}

function reasonOf({ error }: Refusal): Pick<RejectedRow, 'reason' | 'column' | 'sqlState'> {
  const { column } = raisedBy(error);
  return {
    reason: 'PostgreSQL refused it: look for constraints, triggers or changed columns of the table at the target',
    column: typeof column === 'string' ? column : null,
    sqlState: sqlStateOf(error),
  };
}
