import type { RejectedRow } from '../../change/rejected-row.ts';
import { sqlStateOf } from '../../errors/postgres-errors.ts';
import type { Fenced } from '../control/writing.ts';
import type { WritingSession } from '../session.ts';
import { type WriteRuns, copyRuns, inSavepoint, outcomesOf, writeIsolating } from './isolate-rows.ts';
import type { Swallowed } from './swallowed-writes.ts';
import type { TableWriter } from './table-writer.ts';

const uniqueViolation = '23505';

/** The outcome of a write that isolates rows. */
export interface Isolated {
  /** Rows that PostgreSQL refuses. */
  readonly refused: readonly RejectedRow[];
  /** Rows that it accepted and did not write; null: there are none. */
  readonly swallowed: Swallowed | null;
}

/**
 * Writes lines of a table and isolates the rows that PostgreSQL refuses. Rows that should all be new are copied directly, because COPY
 * names the refused line. The others are written by statements, which name none, so refused rows are found by halving.
 */
export async function isolateTable(
  session: WritingSession,
  trx: Fenced,
  writer: TableWriter,
  lines: Buffer,
  { isNew, isSuspected }: { readonly isNew: boolean; readonly isSuspected: boolean },
): Promise<Isolated> {
  const { schema, table } = writer;
  let swallowed: Swallowed | null = null;
  const counted = (meant: number, written: number) => {
    if (written !== meant) swallowed ??= { what: 'insert', meant, written };
  };
  const replace: WriteRuns = async (runs) =>
    outcomesOf(
      runs,
      await session.pipeline(
        runs.map((run) => inSavepoint([...writer.upserts(run.lines)].map(({ statement }) => statement))),
      ),
      counted,
    );
  if (!isNew || !writer.mayCopy) {
    const refused = await writeIsolating(trx, lines, schema, replace, { relations: [], isSuspected });
    return { refused, swallowed };
  }
  const there: Buffer[] = [];
  const copy = copyRuns(session, table, schema, counted);
  const write: WriteRuns = async (runs) => {
    const outcomes = await copy(runs);
    return outcomes.map((error, index) => {
      if (sqlStateOf(error) !== uniqueViolation) return error;
      there.push(...(runs[index]?.lines ?? []));
      return null;
    });
  };
  const refused = await writeIsolating(trx, lines, schema, write, { relations: [schema.table], isSuspected });
  if (there.length === 0) return { refused, swallowed };
  writer.foundExisting();
  const also = await writeIsolating(trx, Buffer.concat(there), schema, replace, { relations: [], isSuspected });
  return { refused: [...refused, ...also], swallowed };
}
