import { sql } from 'kysely';
import { fromPostgres, isRowRefusal, raisedBy, sqlStateOf } from '../../errors/postgres-errors.ts';
import type { RejectedRow } from '../../change/rejected-row.ts';
import type { TableSchema } from '../../definition/table-schema.ts';
import { lineStarts, rejectedLine } from './line-check.ts';
import type { Target, WritingSession } from '../session.ts';
import type { Outcome, Statement } from '../wire/pipeline.ts';
import { columnList } from './tables.ts';

/**
 * Rows per run when refused rows are likely. With one refused row in a hundred, about half of the runs have none. Few rows are then sent
 * twice.
 */
const suspectedRun = 64;
/** The error context of COPY names the line. */
const copyContext = /^COPY /;

/** Row numbers, from 0. */
interface Range {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
}

/** Some of the rows to write, in order. */
type Run = readonly Range[];

/** The rows of one attempt, and their lines. */
export interface RunToWrite {
  readonly rows: Run;
  readonly lines: readonly Buffer[];
}

/** Writes runs without waiting in between, each with `inSavepoint`. Returns the error of each run, or null. */
export type WriteRuns = (runs: readonly RunToWrite[]) => Promise<readonly (Error | null)[]>;

/** Writes runs by COPY into the relation `into`, given as SQL. `counted` gets how many rows each run should have and has written. */
export function copyRuns(
  session: WritingSession,
  into: string,
  schema: TableSchema,
  counted: (meant: number, written: number) => void = () => undefined,
): WriteRuns {
  const text = `copy ${into} (${columnList(schema)}) from stdin`;
  return async (runs) =>
    outcomesOf(runs, await session.pipeline(runs.map(({ lines }) => inSavepoint([{ text, lines }]))), counted);
}

/** The errors of runs that were written with `inSavepoint`. */
export function outcomesOf(
  runs: readonly RunToWrite[],
  outcomes: readonly Outcome[],
  counted: (meant: number, written: number) => void,
): (Error | null)[] {
  return runs.map(({ rows }, index) => {
    const outcome = outcomes[index];
    if (outcome === undefined) throw outcomes.at(-1)?.error ?? new Error('no answer');
    if (outcome.error === null)
      counted(
        count(rows),
        outcome.rows.reduce((sum, written) => sum + written, 0),
      );
    return outcome.error;
  });
}

/**
 * Writes COPY lines and returns the rows that PostgreSQL refuses. Rows are written in runs. A refused run is rolled back and split. If
 * COPY named a row, it is tried alone, and the rows behind it follow in further runs. The rows before it are written at the end. If COPY
 * named no row, the run is split into two halves.
 *
 * A row is rejected only if PostgreSQL refuses it alone. A row may need another row, for example for a foreign key of the target. It is
 * then tried once more after all others. The named row is a number from a message in the server's language, so it is only a guess. A
 * wrong guess costs one attempt and nothing else.
 *
 * `relations`: the tables that `write` copies to, as that message may name them. `isSuspected`: PostgreSQL has just refused some rows.
 */
export async function writeIsolating(
  trx: Target,
  lines: Buffer,
  schema: TableSchema,
  write: WriteRuns,
  { relations, isSuspected }: { readonly relations: readonly string[]; readonly isSuspected: boolean },
): Promise<RejectedRow[]> {
  const starts = lineStarts(lines);
  const bytes = ({ from, to }: Range) => lines.subarray(starts[from], starts[to]);
  const rejected: RejectedRow[] = [];
  const all = { from: 0, to: starts.length - 1 };
  await sql.raw(setSavepoint).execute(trx);
  let passed: Range[] = [];
  let lacking: Run[] = [];
  let isLast = false;
  for (let waiting = isSuspected ? inRuns([all]) : [[all]]; waiting.length > 0;) {
    const outcomes = await write(waiting.map((run) => ({ rows: run, lines: run.map(bytes) })));
    const next: Run[] = [];
    const behind: Range[] = [];
    for (const [index, run] of waiting.entries()) {
      const error = outcomes[index] ?? null;
      if (error === null) continue;
      if (!isRowRefusal(error)) throw fromPostgres(error, { what: 'apply' });
      const rows = count(run);
      const line = rows > suspectedRun ? null : lineNamed(error, relations);
      if (rows === 1 && !isLast && mayLackAnother(error)) lacking.push(run);
      else if (rows === 1) rejected.push(rejectedLine(Buffer.concat(run.map(bytes)), schema, reasonOf(error)));
      else if (rows > suspectedRun) next.push(...inRuns(run));
      else if (line === null || line > rows) next.push(...halves(run));
      else {
        passed.push(...part(run, 0, line - 1));
        next.push(part(run, line - 1, line));
        behind.push(...part(run, line, rows));
      }
    }
    waiting = [...next, ...inRuns(behind)].filter((run) => count(run) > 0);
    if (waiting.length > 0) continue;
    if (passed.length > 0) {
      // All rows before the named ones are written together.
      waiting = [passed];
      passed = [];
    } else {
      waiting = lacking.toSorted(([a], [b]) => (a?.from ?? 0) - (b?.from ?? 0));
      lacking = [];
      isLast = true;
    }
  }
  await sql.raw(undo).execute(trx);
  await sql.raw(release).execute(trx);
  return rejected;
}

const setSavepoint = 'savepoint row_run';
const undo = 'rollback to savepoint row_run';
const release = 'release savepoint row_run';

/**
 * The statements of a run. They start at the savepoint behind the last written run, whether the previous run was written or refused. Only
 * a written run sets a new savepoint.
 */
export function* inSavepoint(statements: Iterable<Statement>): Generator<Statement> {
  yield { text: undo };
  yield* statements;
  yield { text: release };
  yield { text: setSavepoint };
}

function count(run: Run): number {
  return run.reduce((sum, { from, to }) => sum + to - from, 0);
}

/** The rows of a run from number `first`, inclusive, to number `last`, exclusive. */
function part(run: Run, first: number, last: number): Range[] {
  const ranges: Range[] = [];
  let at = 0;
  for (const { from, to } of run) {
    const range = { from: Math.max(from, from + first - at), to: Math.min(to, from + last - at) };
    if (range.from < range.to) ranges.push(range);
    at += to - from;
  }
  return ranges;
}

function halves(run: Run): Run[] {
  const middle = Math.ceil(count(run) / 2);
  return [part(run, 0, middle), part(run, middle, count(run))];
}

function inRuns(rows: Run): Run[] {
  const all = count(rows);
  return Array.from({ length: Math.ceil(all / suspectedRun) }, (_, index) =>
    part(rows, index * suspectedRun, (index + 1) * suspectedRun),
  );
}

/** The line that COPY names, from 1; null if it names none. */
function lineNamed(error: unknown, relations: readonly string[]): number | null {
  const { where } = raisedBy(error);
  if (typeof where !== 'string') return null;
  const context = where.split('\n').find((line) => copyContext.test(line)) ?? '';
  const unnamed = relations.reduce((text, relation) => text.replace(relation, ''), context);
  const line = Number(/\d+/.exec(unnamed)?.[0] ?? 0);
  return line < 1 ? null : line;
}

function reasonOf(error: unknown): Pick<RejectedRow, 'reason' | 'column' | 'sqlState'> {
  const { column } = raisedBy(error);
  const sqlState = sqlStateOf(error);
  return {
    reason: sqlState?.startsWith(limitExceeded) === true ? tooLarge : refused,
    column: typeof column === 'string' ? column : null,
    sqlState,
  };
}

/**
 * Whether other rows may be the reason why PostgreSQL refused a row. False for errors of its own values: data exceptions (22), NOT NULL,
 * CHECK, and limits of PostgreSQL (https://www.postgresql.org/docs/current/errcodes-appendix.html).
 */
function mayLackAnother(error: unknown): boolean {
  return !/^(22|23502|23514|54)/.test(sqlStateOf(error) ?? '');
}

/** The class of SQLSTATEs for exceeded limits of PostgreSQL. */
const limitExceeded = '54';
const tooLarge =
  'it exceeds a limit of PostgreSQL: 8 kB for a row without its large values, 2,704 bytes for a key, 1 GB for a value';
const refused = 'PostgreSQL refused it: look for constraints, triggers or changed columns of the table at the target';
