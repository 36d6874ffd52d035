import type { RejectedRow } from '../../change/rejected-row.ts';
import type { TableChanges } from '../../change/table-changes.ts';
import { fromPostgres, isRowRefusal, sqlStateOf } from '../../errors/postgres-errors.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { sql } from 'kysely';
import type { Fenced } from '../control/writing.ts';
import type { WritingSession } from '../session.ts';
import type { Statement } from '../wire/pipeline.ts';
import { isolateTable } from './isolate-table.ts';
import { type Swallowed, swallowedBy } from './swallowed-writes.ts';
import { type Lines, type Step, type TableWriter } from './table-writer.ts';

const uniqueViolation = '23505';
/** A savepoint before a table whose rows may be refused. */
const ofTable = {
  set: 'savepoint of_table',
  undo: 'rollback to savepoint of_table',
  end: 'release savepoint of_table',
};

/** Where tables are written: inside the open transaction `trx` of the session. */
export interface WritingTarget {
  readonly session: WritingSession;
  readonly trx: Fenced;
  readonly schema: string;
  /** Rows may be refused. Each table gets a savepoint, so that only this table is written again. */
  readonly isCareful: boolean;
}

/** The changes of one table while they are written. */
export class TableWriting {
  readonly writer: TableWriter;
  readonly changes: TableChanges;
  /** Rows that PostgreSQL has refused. */
  refused: readonly RejectedRow[] = [];
  /** Fewer rows were deleted than there are keys. The others were missing, or something has kept them. */
  isInDoubt = false;
  #lines: Lines | null = null;

  constructor(writer: TableWriter, changes: TableChanges) {
    this.writer = writer;
    this.changes = changes;
  }

  get table(): string {
    return this.changes.schema.table;
  }

  get lines(): Lines {
    this.#lines ??= this.writer.lines(this.changes);
    return this.#lines;
  }

  /** The rows that cannot be written. */
  get unwritten(): readonly RejectedRow[] {
    return [...this.lines.rejected, ...this.refused];
  }

  *steps(isCareful: boolean): Generator<Step> {
    const control = (text: string): Step => ({ statement: { text }, kind: 'control', rows: 0 });
    if (isCareful) yield control(ofTable.set);
    yield* this.writer.deletes(this.changes);
    yield* this.writer.writes(this.lines, this.changes.onlyInserts);
    if (isCareful) yield control(ofTable.end);
  }
}

/** Returns an error that names the table it is about. */
export function aboutTable(table: string, error: unknown): TidegateError {
  if (error instanceof TidegateError && error.table === table) return error;
  return fromPostgres(error, { what: 'write' }).about(table);
}

/**
 * Writes tables without waiting in between. Raises the error of a row that PostgreSQL refuses, about its table. If the target `isCareful`,
 * isolates the refused rows of that table instead. Raises target-refused for a table that swallows writes.
 */
export async function writeTogether(target: WritingTarget, tables: readonly TableWriting[]): Promise<void> {
  for (let from = 0; from < tables.length;) from = await writeFrom(target, tables, from);
}

/** Writes tables from number `from` on. Returns the number of the table to go on with. */
async function writeFrom(target: WritingTarget, tables: readonly TableWriting[], from: number): Promise<number> {
  const { session, trx, isCareful } = target;
  const sent: { readonly number: number; readonly step: Step }[] = [];
  // Statements are made while the server works on the earlier ones.
  const statements = function* (): Generator<Statement> {
    for (const [index, table] of tables.slice(from).entries())
      for (const step of table.steps(isCareful)) {
        sent.push({ number: from + index, step });
        yield step.statement;
      }
  };
  const [outcome] = await session.pipeline([statements()]);
  const { rows = [], error = new Error('no answer') } = outcome ?? {};
  for (const [index, count] of rows.entries()) {
    const { number, step } = sent[index] as (typeof sent)[number];
    await assertWritten(target, tables[number] as TableWriting, step, count);
  }
  if (error === null) return tables.length;
  const failed = sent[rows.length];
  const table = failed === undefined ? undefined : tables[failed.number];
  if (failed === undefined || table === undefined) throw fromPostgres(error, { what: 'write' });
  if (failed.step.kind === 'copy' && sqlStateOf(error) === uniqueViolation) {
    table.writer.foundExisting();
    const undo = failed.step.undo ?? (isCareful ? ofTable.undo : null);
    // Without a savepoint all tables are written again, carefully.
    if (undo === null) throw aboutTable(table.table, error);
    await sql.raw(undo).execute(trx);
    return failed.number;
  }
  if (!isCareful || !isRowRefusal(error)) throw aboutTable(table.table, error);
  await sql.raw(ofTable.undo).execute(trx);
  await writeAlone(target, table, false);
  return failed.number + 1;
}

/** Writes one table and isolates the rows that PostgreSQL refuses. `isSuspected`: it has just refused some of this table. */
export async function writeAlone(target: WritingTarget, table: TableWriting, isSuspected: boolean): Promise<void> {
  const { session, trx } = target;
  const { writer, changes, lines } = table;
  const steps = [...writer.deletes(changes)];
  try {
    const [outcome] = await session.pipeline([steps.map(({ statement }) => statement)]);
    for (const [index, count] of outcome?.rows.entries() ?? [])
      await assertWritten(target, table, steps[index] as Step, count);
    if (outcome === undefined || outcome.error !== null) throw outcome?.error ?? new Error('no answer');
    if (lines.rows === 0) return;
    const isolated = await isolateTable(session, trx, writer, lines.lines, {
      isNew: changes.onlyInserts,
      isSuspected,
    });
    table.refused = isolated.refused;
    if (isolated.swallowed !== null) throw await swallowed(target, table, isolated.swallowed);
  } catch (error) {
    throw aboutTable(table.table, error);
  }
}

async function assertWritten(
  target: WritingTarget,
  table: TableWriting,
  { kind, rows: meant }: Step,
  written: number,
): Promise<void> {
  if (kind === 'delete' && written < meant) table.isInDoubt = true;
  if (kind === 'check' && written > 0) throw await swallowed(target, table, { what: 'delete', meant, written });
  if ((kind === 'write' || kind === 'copy') && written !== meant)
    throw await swallowed(target, table, { what: 'insert', meant, written });
}

/** Raises target-refused for a table that has kept rows that were deleted. Only tables that deleted fewer rows than meant are asked. */
export async function assertDeleted(target: WritingTarget, tables: readonly TableWriting[]): Promise<void> {
  const asked = tables.filter(({ isInDoubt }) => isInDoubt);
  if (asked.length === 0) return;
  const owners: TableWriting[] = [];
  const statements = asked.flatMap((table) =>
    [...table.writer.present(table.changes)].map((statement) => {
      owners.push(table);
      return statement;
    }),
  );
  const [outcome] = await target.session.pipeline([statements]);
  const { rows = [], error = new Error('no answer') } = outcome ?? {};
  if (error !== null) throw aboutTable(owners[rows.length]?.table ?? '', error);
  const kept = owners.find((_, index) => (rows[index] ?? 0) > 0);
  if (kept !== undefined) throw await swallowed(target, kept, { what: 'delete', meant: 0, written: 0 });
}

async function swallowed(
  { trx, schema }: WritingTarget,
  { table }: TableWriting,
  what: Swallowed,
): Promise<TidegateError> {
  return await swallowedBy(trx, schema, table, what);
}
