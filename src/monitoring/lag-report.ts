import { type Position, comparePositions, formatPosition } from '../change/position.ts';
import type { BinlogFiles, SourceStatus } from '../mysql/position/source-status.ts';
import type { ConvertedColumn } from '../postgres/control/conversions.ts';
import type { DeadLetterGroup } from '../postgres/control/dead-letter-list.ts';
import type { JobKind, LeftOutGroup } from '../postgres/control/control-schema.ts';
import { type Job, isEqual } from '../postgres/control/jobs.ts';
import { suspendedRemedy } from '../postgres/control/table-states.ts';
import type { Presence } from '../postgres/control/presence.ts';
import type { HeadHistory } from './head-history.ts';
import type { Findings, ReplicaStatus, SnapshotStatus } from '../postgres/control/status.ts';

/** What `lag --json` prints. Fields are only ever added. What is not known is null, and the problems name the reason. */
export interface LagReport {
  /** checking, standby, snapshotting, catching-up, streaming, refused, retrying, paused, stalled, stopped, or unknown. */
  readonly state: string;
  /** Why it is stalled, retrying or refused, or hardly reads at the source. */
  readonly reason: string | null;
  /** What to do about it; null: nothing to do. */
  readonly remedy: string | null;
  /**
   * 0 when everything is applied; else how long ago the source was what the target is now, by the source's clock. Null also until
   * the first copy is complete.
   */
  readonly secondsBehind: number | null;
  readonly bytesBehind: number | null;
  /** By GTID; null also where the source has no GTIDs. */
  readonly transactionsBehind: number | null;
  /** Row changes applied per second, by the service. */
  readonly rowsPerSecond: number | null;
  /** Seconds until it has caught up at the present speed; null also while the gap does not shrink. */
  readonly secondsToCatchUp: number | null;
  readonly snapshot: SnapshotStatus | null;
  /** How long the source keeps a binlog file that it no longer writes; 0: until it is purged by hand. */
  readonly retentionSeconds: number | null;
  /**
   * Lower bound of the time until the source may purge what is not applied yet, if nothing more is applied. Null also where it purges
   * nothing by age.
   */
  readonly headroomSeconds: number | null;
  /** The source's clock minus this machine's, in whole seconds. */
  readonly clockSkewSeconds: number | null;
  /** Where the source's binlog ends. */
  readonly sourcePosition: string | null;
  /** The target has everything up to here. */
  readonly appliedPosition: string | null;
  readonly appliedGtid: string | null;
  readonly suspendedTables: readonly SuspendedTable[] | null;
  /** Tables that are not replicated now, by reason. */
  readonly leftOutTables: readonly LeftOutGroup[] | null;
  /** Rows that cannot be replicated, by table and reason. */
  readonly deadLetters: readonly DeadLetterGroup[] | null;
  /** Values that had to change to fit, by column, since the replica was made. */
  readonly conversions: readonly ConvertedColumn[] | null;
  /** Backfills, verifications and refreshes that wait or run. */
  readonly jobs: readonly RunningJob[] | null;
  /** The last complete comparison of each table: a verification or a backfill. */
  readonly verifications: readonly Verification[] | null;
  /** Backfills, verifications and refreshes of complete tables that failed, without a later success. */
  readonly failedJobs: readonly FailedJob[] | null;
  /** Why a field is not known. */
  readonly problems: readonly string[];
}

export interface SuspendedTable {
  readonly table: string;
  readonly reason: string;
  /** When it is tried again by itself; null: it waits for a person. */
  readonly retryAt: Date | null;
  /** Whether it returns by itself, or the line to run. */
  readonly remedy: string;
}

export interface RunningJob {
  readonly id: string;
  readonly table: string;
  readonly kind: JobKind;
  readonly state: string;
  /** Rows read so far, and the source's estimate of all. */
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
  /** Rows that cannot be replicated. */
  readonly rejected: number;
  /** Differences that were repaired. */
  readonly repaired: number;
}

export interface FailedJob {
  readonly id: string;
  readonly table: string;
  readonly kind: JobKind;
  /** When it ended. */
  readonly at: Date | null;
  readonly reason: string;
}

/** The answers of the databases. Null: no answer; the problems name the reason. */
export interface Answers {
  readonly source: SourceStatus | null;
  /** Binlog files of the source; null also where the target's position is in the same file as the head. */
  readonly files: BinlogFiles | null;
  readonly status: ReplicaStatus | null;
  readonly findings: Findings | null;
  /** Null also if the service has just reported, or measures itself. */
  readonly presence: Presence | null;
  readonly history: HeadHistory;
  readonly problems: readonly string[];
}

const startIt = 'start the service (`tidegate run`); if it ended by itself, the last line of its log names the reason';

/** Computes the report from the answers of both databases. */
export function describeLag({ source, files, status, findings, presence, ...rest }: Answers): LagReport {
  const problems = [...rest.problems];
  const checkpoint = status?.checkpoint ?? null;
  const applied = checkpoint?.position ?? null;
  if (status !== null && applied === null) problems.push('nothing was copied yet: start `tidegate run`');
  // Positions belong to the files of one server and cannot be compared with those of another.
  const isOtherServer = source !== null && checkpoint !== null && checkpoint.sourceIdentity !== source.identity;
  if (isOtherServer) problems.push('the source is another server than the replicated one: check SOURCE_DB_HOST');
  const { service, detail } = status ?? { service: null, detail: null };
  // While a service runs, the target may have passed the head since the source was asked.
  const isReset =
    !isOtherServer && service?.isFresh !== true && source !== null && applied !== null && source.lacks(applied);
  if (isReset)
    problems.push(
      'the source lacks what was applied, because it was restored or its binlog was reset: run `tidegate resync`',
    );
  // Until the first copy is complete, the target equals the source at no moment, although it has a position.
  if (findings !== null && findings.leftOut === null && applied !== null)
    problems.push('no service of this version has looked at the tables of the source yet: start `tidegate run`');
  const copying = findings?.tables.filter((table) => table.state === 'snapshotting').length ?? null;
  const committedMs = checkpoint?.committedAt?.getTime();
  const committedAt = committedMs === undefined ? null : committedMs / 1000;
  const gap =
    source === null || applied === null || isOtherServer || isReset
      ? null
      : { source, applied, asOf: rest.history.asOf(applied, committedAt) };
  const isFresh = service?.isFresh === true;
  const state = isFresh ? service.state : presence?.kind === 'absent' ? 'stopped' : 'unknown';
  if (presence !== null && state === 'unknown') problems.push(whyUnknown(presence, service?.ageSeconds ?? null));
  // The details that a service wrote before it fell silent are out of date.
  const alive = isFresh && state !== 'stopped' ? detail : null;
  const snapshot = alive?.snapshot ?? null;
  // A first copy that shows its progress needs nobody.
  if (copying !== null && copying > 0 && snapshot === null)
    problems.push(`the first copy is not complete: ${copying} table${copying === 1 ? '' : 's'} left`);
  return {
    state,
    reason: alive?.reason ?? null,
    remedy: state === 'stopped' ? startIt : (alive?.remedy ?? null),
    secondsBehind: gap === null || copying !== 0 ? null : secondsBehind(gap),
    bytesBehind: gap === null ? null : bytesBetween(files, gap.applied, gap.source.head),
    transactionsBehind: gap === null ? null : transactionsBehind(gap),
    rowsPerSecond: alive?.rowsPerSecond ?? null,
    secondsToCatchUp: alive?.secondsToCatchUp ?? null,
    snapshot,
    retentionSeconds: source?.retention ?? null,
    headroomSeconds: gap === null ? null : headroom(gap, files, committedAt, problems),
    clockSkewSeconds: source?.clockSkew ?? null,
    sourcePosition: source === null ? null : formatPosition(source.head),
    appliedPosition: applied === null ? null : formatPosition(applied),
    appliedGtid: applied?.gtid ?? null,
    suspendedTables: findings && suspended(findings.tables),
    leftOutTables: findings && findings.leftOut,
    deadLetters: findings && findings.deadLetters,
    conversions: findings && findings.conversions,
    jobs: findings && findings.jobs.map(running),
    verifications: findings && findings.verifications.map(verified),
    failedJobs: findings && findings.failedJobs.map(failed),
    problems,
  };
}

/** Why the state of a service that does not report is unknown. */
function whyUnknown(presence: Presence, ageSeconds: number | null): string {
  if (presence.kind === 'unseen') return 'the target is read-only, so no service can report there';
  const silence = ageSeconds === null ? 'nothing yet' : `nothing for ${Math.round(ageSeconds)} s`;
  return presence.kind === 'holder'
    ? `${presence.holder} holds the lease and has reported ${silence}: look at its log`
    : `a service is connected and has reported ${silence}: look at its log, and whether PostgreSQL can write: its disk may be full`;
}

function suspended(tables: Findings['tables']): SuspendedTable[] {
  return tables
    .filter(({ state }) => state === 'suspended')
    .map(({ table, reason, retryAt, decision }) => ({
      ...{ table, reason: reason ?? '', retryAt },
      remedy: suspendedRemedy({ table, retryAt, decision }),
    }));
}

interface Gap {
  readonly source: SourceStatus;
  readonly applied: Position;
  /** The source's clock at the time when it was what the target is now; null: not known. */
  readonly asOf: number | null;
}

/** Events that the server writes by itself, for example at a rotation, advance its head but are no lag. */
function secondsBehind(gap: Gap): number | null {
  const { source, applied, asOf } = gap;
  if (comparePositions(applied, source.head) >= 0 || transactionsBehind(gap) === 0) return 0;
  return asOf === null ? null : Math.max(0, Math.round((source.clock - asOf) * 10) / 10);
}

function transactionsBehind({ source, applied }: Gap): number | null {
  if (applied.gtid === null) return null;
  return comparePositions(applied, source.head) >= 0 ? 0 : source.transactionsSince(applied.gtid);
}

/**
 * The server purges a file by the time of its last write. The current file still has the full retention. An earlier file was written at
 * least until the last transaction that was applied from it.
 */
function headroom(
  { source: { head, clock, retention }, applied }: Gap,
  files: BinlogFiles | null,
  committedAt: number | null,
  problems: string[],
): number | null {
  if (files?.some(({ file }) => file === applied.file) === false) {
    problems.push(
      `the source has purged binlog file ${applied.file}, which is needed to continue: run \`tidegate resync\``,
    );
    return 0;
  }
  if (retention === 0) return null;
  if (applied.file === head.file) return retention;
  return committedAt === null ? null : Math.max(0, Math.floor(retention - (clock - committedAt)));
}

/** Bytes of binlog from one position to a later one; null if a file in between is gone. */
function bytesBetween(files: BinlogFiles | null, from: Position, to: Position): number | null {
  if (comparePositions(from, to) >= 0) return 0;
  if (from.file === to.file) return to.offset - from.offset;
  const first = files?.findIndex(({ file }) => file === from.file) ?? -1;
  const last = files?.findIndex(({ file }) => file === to.file) ?? -1;
  if (files === null || first < 0 || last < 0) return null;
  const bytes = files.slice(first, last).reduce((sum, { size }) => sum + size, 0);
  return bytes - from.offset + to.offset;
}

function running({ id, table, kind, state, estimatedRows, counts }: Job): RunningJob {
  return { id, table, kind, state, rows: counts.rows, estimatedRows };
}

function verified(job: Job): Verification {
  const { rows, missing, extra, different, rejected, repaired } = job.counts;
  return {
    ...{ table: job.table, at: job.finishedAt, isEqual: isEqual(job) },
    ...{ rows, missing, extra, different, rejected, repaired },
  };
}

function failed({ id, table, kind, finishedAt, reason }: Job): FailedJob {
  return { id, table, kind, at: finishedAt, reason: reason ?? '' };
}
