import { sql } from 'kysely';
import type { Config } from '../config/config.ts';
import { type Position, comparePositions, formatPosition } from '../change/position.ts';
import { describeError } from '../errors/describe-error.ts';
import { SourceConnection } from '../source/connection.ts';
import { readBinlogFiles, readHead } from '../source/positions.ts';
import { readServerFlavor } from '../source/server-flavor.ts';
import { readCheckpoint } from '../target/checkpoint.ts';
import { type ConvertedColumn, readConversions } from '../target/conversions.ts';
import { type DeadLetterGroup, groupDeadLetters } from '../target/dead-letter-actions.ts';
import { isEqual, lastVerifications, openJobs } from '../target/jobs.ts';
import { hasControlTable } from '../target/migrate.ts';
import { type Target, TargetSession } from '../target/session.ts';

/** What `lag --json` prints. Fields are only ever added. */
export interface LagReport {
  /** checking, standby, snapshotting, catching-up, streaming, retrying, stopped, or unknown. */
  readonly state: string;
  /** 0 when everything is applied; else the source's clock minus the time of the last applied transaction. */
  readonly secondsBehind: number | null;
  readonly bytesBehind: number | null;
  /** Where the source's binlog ends. */
  readonly sourcePosition: string | null;
  /** Up to where the target is complete. */
  readonly appliedPosition: string | null;
  readonly appliedGtid: string | null;
  readonly parkedTables: readonly { readonly table: string; readonly reason: string }[];
  /** Rows that cannot be carried, by table and reason. */
  readonly deadLetters: readonly DeadLetterGroup[];
  /** Values that had to change to fit, by column, since the replica was made. */
  readonly conversions: readonly ConvertedColumn[];
  /** Backfills and verifications that wait or run. */
  readonly jobs: readonly RunningJob[];
  /** The last verification of each table that came to its end. */
  readonly verifications: readonly Verification[];
  /** Why something is not known. */
  readonly problems: readonly string[];
}

export interface RunningJob {
  readonly id: string;
  readonly table: string;
  readonly kind: 'backfill' | 'verify' | 'refresh';
  readonly state: string;
  /** Rows read so far, and about how many there are. */
  readonly rows: number;
  readonly estimatedRows: number;
}

export interface Verification {
  readonly table: string;
  /** When it ended. */
  readonly at: Date | null;
  readonly isEqual: boolean;
  readonly rows: number;
  readonly missing: number;
  readonly extra: number;
  readonly different: number;
  /** Rows that cannot be carried. */
  readonly rejected: number;
  /** Differences that were mended. */
  readonly repaired: number;
}

/** A status row older than this was not written by a living service. */
const statusFreshSeconds = 10;

/** Asks both databases, each by itself: what one does not answer is null, with the reason among the problems. */
export async function measureLag(config: Config): Promise<LagReport> {
  const problems: string[] = [];
  const attempt = async <T>(work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      problems.push(describeError(error).message);
      return null;
    }
  };
  const [target, source] = await Promise.all([
    attempt(async () => await readTarget(config)),
    attempt(async () => await readSource(config)),
  ]);
  const applied = target?.applied ?? null;
  if (target !== null && applied === null) problems.push('nothing was copied yet');
  // Places are those of one server's files, and say nothing of another's.
  const isOtherServer = source !== null && applied !== null && target?.sourceIdentity !== source.identity;
  if (isOtherServer) problems.push('the source address leads to another server than the one applied from');
  const gap = source === null || applied === null || isOtherServer ? null : { source, applied };
  return {
    state: target?.state ?? 'unknown',
    secondsBehind: gap === null ? null : secondsBehind(gap.source, gap.applied, target?.committedAt ?? null),
    bytesBehind: gap === null ? null : bytesBetween(gap.source.files, gap.applied, gap.source.head),
    sourcePosition: source === null ? null : formatPosition(source.head),
    appliedPosition: applied === null ? null : formatPosition(applied),
    appliedGtid: applied?.gtid ?? null,
    parkedTables: target?.parked ?? [],
    deadLetters: target?.deadLetters ?? [],
    conversions: target?.conversions ?? [],
    jobs: target?.jobs ?? [],
    verifications: target?.verifications ?? [],
    problems,
  };
}

interface SourceView {
  readonly identity: string;
  readonly head: Position;
  readonly files: readonly { readonly file: string; readonly size: number }[];
  /** The source's clock, in seconds since 1970: the commit times are by it, so skew between the machines does not matter. */
  readonly clock: number;
}

async function readSource(config: Config): Promise<SourceView> {
  const connection = await SourceConnection.open(config.source, 'replicator');
  try {
    const server = await readServerFlavor(connection);
    const head = await readHead(connection);
    const [row] = await connection.query('select unix_timestamp() as clock');
    return { identity: server.identity, head, files: await readBinlogFiles(connection), clock: Number(row?.['clock']) };
  } finally {
    await connection.close();
  }
}

const noReplica = {
  state: 'stopped',
  applied: null,
  sourceIdentity: null,
  committedAt: null,
  parked: [],
  deadLetters: [],
  conversions: [],
  jobs: [],
  verifications: [],
};

async function readTarget(config: Config) {
  const session = await TargetSession.open(config.target, 'tidegate lag');
  const replica = config.target.schema;
  try {
    return await session.guarded(async () => {
      if (!(await hasControlTable(session.db, 'tidegate.dead_letters'))) return noReplica;
      const checkpoint = await readCheckpoint(session.db, replica);
      const status = await session.db
        .selectFrom('tidegate.status')
        .select(['state', sql<boolean>`updated_at > now() - make_interval(secs => ${statusFreshSeconds})`.as('fresh')])
        .where('replica', '=', replica)
        .executeTakeFirst();
      const parked = await session.db
        .selectFrom('tidegate.tables')
        .select(['table_name', 'reason'])
        .where('replica', '=', replica)
        .where('state', '=', 'parked')
        .orderBy('table_name')
        .execute();
      return {
        state: status?.fresh === true ? status.state : 'stopped',
        applied: checkpoint?.position ?? null,
        sourceIdentity: checkpoint?.sourceIdentity ?? null,
        committedAt: checkpoint?.committedAt ?? null,
        deadLetters: await groupDeadLetters(session.db, replica),
        conversions: await readConversions(session.db, replica),
        ...(await readWork(session.db, replica)),
        parked: parked.map(({ table_name, reason }) => ({ table: table_name, reason: reason ?? '' })),
      };
    });
  } finally {
    await session.close();
  }
}

function secondsBehind(source: SourceView, applied: Position, committedAt: Date | null): number | null {
  if (comparePositions(applied, source.head) >= 0) return 0;
  return committedAt === null ? null : Math.max(0, source.clock - Math.floor(committedAt.getTime() / 1000));
}

/** Bytes of binlog from one place to a later one; null when a file in between is gone. */
function bytesBetween(files: SourceView['files'], from: Position, to: Position): number | null {
  if (comparePositions(from, to) >= 0) return 0;
  if (from.file === to.file) return to.offset - from.offset;
  const first = files.findIndex(({ file }) => file === from.file);
  const last = files.findIndex(({ file }) => file === to.file);
  if (first < 0 || last < 0) return null;
  const whole = files.slice(first, last).reduce((sum, { size }) => sum + size, 0);
  return whole - from.offset + to.offset;
}

async function readWork(db: Target, replica: string): Promise<{ jobs: RunningJob[]; verifications: Verification[] }> {
  if (!(await hasControlTable(db, 'tidegate.jobs'))) return { jobs: [], verifications: [] };
  return {
    jobs: (await openJobs(db, replica)).map(({ id, table, kind, state, estimatedRows, counts }) => ({
      ...{ id, table, kind, state, estimatedRows },
      rows: counts.rows,
    })),
    verifications: (await lastVerifications(db, replica)).map((job) => {
      const { rows, missing, extra, different, rejected, repaired } = job.counts;
      return {
        ...{ table: job.table, at: job.finishedAt, isEqual: isEqual(job) },
        ...{ rows, missing, extra, different, rejected, repaired },
      };
    }),
  };
}
