import { sql } from 'kysely';
import type { RejectedRow } from '../../change/rejected-row.ts';
import type { TableSchema } from '../../definition/table-schema.ts';
import type { Target, WritingSession } from '../session.ts';
import { without } from './line-check.ts';
import { columnList } from './tables.ts';
import { type WriteRuns, copyRuns, writeIsolating } from './isolate-rows.ts';

/**
 * Copies lines to pg_temp.`name`, an empty staging table that numbers its lines. Returns the refused rows and the lines that the table
 * holds now.
 */
export async function stageIsolating(
  session: WritingSession,
  trx: Target,
  name: string,
  lines: Buffer,
  schema: TableSchema,
  isSuspected: boolean,
): Promise<{ readonly lines: Buffer; readonly refused: readonly RejectedRow[] }> {
  const [into, columns] = [`pg_temp.${name}`, columnList(schema)];
  let isInOrder = true;
  const copy = copyRuns(session, into, schema);
  const write: WriteRuns = async (runs) => {
    const outcomes = await copy(runs);
    if (outcomes.some((error) => error !== null)) isInOrder = false;
    return outcomes;
  };
  const refused = await writeIsolating(trx, lines, schema, write, { relations: [name], isSuspected });
  if (isInOrder) return { lines, refused };
  const sound = without(lines, refused, schema);
  await sql.raw(`truncate ${into} restart identity`).execute(trx);
  await session.copy(into, columns, sound);
  return { lines: sound, refused };
}
