import { sql } from 'kysely';
import type { Config } from '../config/config.ts';
import { type Position, comparePositions, formatPosition } from '../change/position.ts';
import { describeError } from '../errors/describe-error.ts';
import { SourceConnection } from '../source/connection.ts';
import { readBinlogFiles } from '../source/positions.ts';
import { type SourceStatus, readSourceStatus } from '../source/source-status.ts';
import { readCheckpoint } from '../target/checkpoint.ts';
import { type ConvertedColumn, readConversions } from '../target/conversions.ts';
import { type DeadLetterGroup, groupDeadLetters } from '../target/dead-letter-actions.ts';
import { isEqual, lastVerifications, openJobs } from '../target/jobs.ts';
import { hasControlTable } from '../target/migrate.ts';
import { type Target, TargetSession } from '../target/session.ts';

/** What `lag --json` prints. Fields are only ever added. */
export interface LagReport {
  /** checking, snapshotting, catching-up, streaming, paused, retrying, stopped, or unknown. */
  readonly state: string;
  /** 0 when everything is applied; else the source's clock minus the time of the last applied transaction. */
  readonly secondsBehind: number | null;
  readonly bytesBehind: number | null;
  /** By GTID; null also where the source numbers no transactions. */
  readonly transactionsBehind: number | null;
  /** How long the source keeps a binlog file that it no longer writes; 0: until somebody purges. */
  readonly retentionSeconds: number | null;
  /**
   * How long until the source may purge what is not applied yet, at least, if nothing more is applied; null also where it purges
   * nothing by age.
   */
  readonly headroomSeconds: number | null;
  /** The source's clock minus this machine's, in whole seconds. */
  readonly clockSkewSeconds: number | null;
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

/** Whoever asks has his answer within five seconds, whatever the servers do; the target is asked when the source has had its time. */
const patienceMs = { source: 3_000, target: 4_000 } as const;

/**
 * Asks both databases: what one does not answer, or not in time, is null, with the reason among the problems. The source is asked
 * first, so that what was committed after the question is no lag.
 */
export async function measureLag(config: Config): Promise<LagReport> {
  const problems: string[] = [];
  const toSource = new Questions('source', problems);
  const toTarget = new Questions('target', problems);
  try {
    const opening = TargetSession.open(config.target, 'tidegate lag', toTarget.hangUp);
    opening.catch(() => undefined);
    const connection = await toSource.ask(
      async () => await SourceConnection.open(config.source, 'replicator', toSource.hangUp),
    );
    const source = connection && (await toSource.ask(async () => await readSourceStatus(connection)));
    const session = await toTarget.ask(async () => await opening);
    const target = session && (await toTarget.ask(async () => await readTarget(config, session)));
    const isElsewhere = source && target?.applied && target.applied.file !== source.head.file;
    const files = connection && isElsewhere ? await toSource.ask(async () => await readBinlogFiles(connection)) : null;
    const report = describeLag(source, target, files, problems);
    // A goodbye is no question: the source may have had its time by now, and close() waits no longer than a second.
    if (!toSource.hangUp.aborted) await connection?.close();
    await toTarget.ask(async () => await session?.close());
    return report;
  } finally {
    toSource.close();
    toTarget.close();
  }
}

/** Questions to one server, which has a time to answer them all; then it is hung up on. */
class Questions {
  readonly #side: 'source' | 'target';
  readonly #problems: string[];
  readonly #controller = new AbortController();
  readonly #begun = performance.now();

  /** `problems`: where it is told what was not answered. */
  constructor(side: 'source' | 'target', problems: string[]) {
    this.#side = side;
    this.#problems = problems;
  }

  get hangUp(): AbortSignal {
    return this.#controller.signal;
  }

  /** Null: there was no answer, which is among the problems. */
  async ask<T>(work: () => Promise<T>): Promise<T | null> {
    if (this.hangUp.aborted) return null;
    const patience = patienceMs[this.#side];
    const { promise: late, resolve } = Promise.withResolvers<null>();
    const timer = setTimeout(
      () => {
        this.#problems.push(`${this.#side}: no answer within ${patience / 1000} s`);
        this.close();
        resolve(null);
      },
      this.#begun + patience - performance.now(),
    );
    const answer = work().catch((error: unknown) => {
      // What breaks because we hung up was told already.
      if (!this.hangUp.aborted) this.#problems.push(describeError(error).message);
      return null;
    });
    const first = await Promise.race([answer, late]);
    clearTimeout(timer);
    return first;
  }

  /** Nobody waits for what was not answered. */
  close(): void {
    this.#controller.abort();
  }
}

function describeLag(
  source: SourceStatus | null,
  target: Awaited<ReturnType<typeof readTarget>> | null,
  files: BinlogFiles | null,
  problems: string[],
): LagReport {
  const applied = target?.applied ?? null;
  if (target !== null && applied === null) problems.push('nothing was copied yet');
  // Places are those of one server's files, and say nothing of another's.
  const isOtherServer = source !== null && applied !== null && target?.sourceIdentity !== source.identity;
  if (isOtherServer) problems.push('the source address leads to another server than the one applied from');
  const gap = source === null || applied === null || isOtherServer ? null : { source, applied };
  const committedAt = target?.committedAt ?? null;
  return {
    state: target?.state ?? 'unknown',
    secondsBehind: gap === null ? null : secondsBehind(gap.source, gap.applied, committedAt),
    bytesBehind: gap === null ? null : bytesBetween(files, gap.applied, gap.source.head),
    transactionsBehind: gap === null ? null : transactionsBehind(gap.source, gap.applied),
    retentionSeconds: source?.retention ?? null,
    headroomSeconds: gap === null ? null : headroom(gap.source, gap.applied, files, committedAt, problems),
    clockSkewSeconds: source?.clockSkew ?? null,
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

type BinlogFiles = readonly { readonly file: string; readonly size: number }[];

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

async function readTarget(config: Config, session: TargetSession) {
  const replica = config.target.schema;
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
}

/** What the server writes of its own accord (where a rotation left off, say) moves its head, but nobody is behind for it. */
function secondsBehind(source: SourceStatus, applied: Position, committedAt: Date | null): number | null {
  if (comparePositions(applied, source.head) >= 0 || transactionsBehind(source, applied) === 0) return 0;
  return committedAt === null ? null : Math.max(0, source.clock - Math.floor(committedAt.getTime() / 1000));
}

function transactionsBehind(source: SourceStatus, applied: Position): number | null {
  if (applied.gtid === null) return null;
  return comparePositions(applied, source.head) >= 0 ? 0 : source.transactionsSince(applied.gtid);
}

/**
 * The server purges a file by when it was last written. The one it writes has its whole time before it; an earlier one was
 * written at least until the last transaction that was applied from it.
 */
function headroom(
  { head, clock, retention }: SourceStatus,
  applied: Position,
  files: BinlogFiles | null,
  committedAt: Date | null,
  problems: string[],
): number | null {
  if (files?.some(({ file }) => file === applied.file) === false) {
    problems.push(`the source no longer has binlog file ${applied.file}, which is needed to go on`);
    return 0;
  }
  if (retention === 0) return null;
  if (applied.file === head.file) return retention;
  if (committedAt === null) return null;
  return Math.max(0, retention - (clock - Math.floor(committedAt.getTime() / 1000)));
}

/** Bytes of binlog from one place to a later one; null when a file in between is gone. */
function bytesBetween(files: BinlogFiles | null, from: Position, to: Position): number | null {
  if (comparePositions(from, to) >= 0) return 0;
  if (from.file === to.file) return to.offset - from.offset;
  const first = files?.findIndex(({ file }) => file === from.file) ?? -1;
  const last = files?.findIndex(({ file }) => file === to.file) ?? -1;
  if (files === null || first < 0 || last < 0) return null;
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
