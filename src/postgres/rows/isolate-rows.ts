import { sql } from 'kysely';
import { fromPostgres, isRowRefusal, raisedBy, sqlStateOf } from '../../errors/postgres-errors.ts';
import type { RejectedRow } from '../../change/rejected-row.ts';
import type { TableSchema } from '../../definition/table-schema.ts';
import { lineStarts, rejectedLine } from './line-check.ts';
import type { Target, TargetSession } from '../session.ts';
import { columnList } from './tables.ts';

/** Rows of a run that may hold refused ones: with one in a hundred, about every second has none, and few rows are sent twice. */
const suspectedRun = 64;
/** `COPY` says in its context which line it was at. */
const copyContext = /^COPY /;

/** Rows by their numbers, from 0. */
interface Range {
  readonly from: number;
  /** The first that is not among them. */
  readonly to: number;
}

/** Some of the rows that are to be written, in order. */
type Run = readonly Range[];

/** What is to be written at once: which rows, and their lines. */
export interface RunToWrite {
  readonly rows: Run;
  readonly lines: readonly Buffer[];
}

/**
 * Writes runs without waiting in between, each inside a savepoint: `before` and `after` go before and behind its statements, in the same
 * message. Returns what was raised for each.
 */
export type WriteRuns = (
  runs: readonly RunToWrite[],
  before: string,
  after: string,
) => Promise<readonly (Error | null)[]>;

/** Runs by COPY into a relation, given as in SQL. */
export function copyRuns(session: TargetSession, into: string, schema: TableSchema): WriteRuns {
  const copy = `copy ${into} (${columnList(schema)}) from stdin`;
  return async (runs, before, after) =>
    await session.copyEach(runs.map(({ lines }) => ({ statement: before + copy + after, lines })));
}

/**
 * Writes COPY lines of which PostgreSQL may refuse some, and returns those. Rows are written in runs. A refused run is rolled back and
 * taken apart: the row that COPY names alone, what is behind it, and at the end what it had passed; or, where nothing is named, two halves.
 * A row is rejected only if it is refused alone, and, where it may have lacked another one, as a foreign key of the target does, once more
 * when all others are in. So a wrong guess costs an attempt and nothing else; and the name is a number in a text
 * of the server's language, so it can only be a guess.
 *
 * `relations`: the tables that `write` copies to, as that text may name them. `isSuspected`: some were refused a moment ago.
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
  await sql.raw(savepoint.first).execute(trx);
  let passed: Range[] = [];
  let lacking: Run[] = [];
  let isLast = false;
  for (let waiting = isSuspected ? inRuns([all]) : [[all]]; waiting.length > 0;) {
    const outcomes = await write(
      waiting.map((run) => ({ rows: run, lines: run.map(bytes) })),
      savepoint.before,
      savepoint.after,
    );
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
      // It goes in together.
      waiting = [passed];
      passed = [];
    } else {
      waiting = lacking.toSorted(([a], [b]) => (a?.from ?? 0) - (b?.from ?? 0));
      lacking = [];
      isLast = true;
    }
  }
  await sql.raw(savepoint.end).execute(trx);
  return rejected;
}

/**
 * Whether the run before was written or refused, `before` leads back to the savepoint behind the last one that was written, because
 * there is a new one only behind a run that was.
 */
const savepoint = {
  first: 'savepoint row_run',
  before: 'rollback to savepoint row_run; ',
  after: '; release savepoint row_run; savepoint row_run',
  end: 'rollback to savepoint row_run; release savepoint row_run',
} as const;

function count(run: Run): number {
  return run.reduce((sum, { from, to }) => sum + to - from, 0);
}

/** The rows of a run from its `first` to before its `last`. */
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

/** The line that COPY was at, from 1; null: it does not say. */
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
 * Whether other rows can be why a row was refused. Not where its values alone are: data exceptions (22), NOT NULL, CHECK, and what is beyond
 * PostgreSQL's limits (https://www.postgresql.org/docs/current/errcodes-appendix.html).
 */
function mayLackAnother(error: unknown): boolean {
  return !/^(22|23502|23514|54)/.test(sqlStateOf(error) ?? '');
}

/** The class of SQLSTATEs for what is beyond PostgreSQL's limits. */
const limitExceeded = '54';
const tooLarge =
  'PostgreSQL cannot hold it: a row with its columns in 8 kB, large values apart, a key in 2,704 bytes, a value in 1 GB';
const refused = 'PostgreSQL refused it: look for constraints, triggers or changed columns of the table at the target';
