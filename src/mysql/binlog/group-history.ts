import { crc32 } from 'node:zlib';
import { type Position, comparePositions, formatPosition } from '../../change/position.ts';
import { type Witness, lastOfDomains, sequenceOf } from '../../change/witness.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';

/** The groups that are remembered of each sequence, and the most sequences: the latest ones. */
const keptOfEach = 4;
const keptSequences = 16;

/**
 * What the stream remembers of the groups that it has read, and the proof that the source still has them. A source that lost the end of its
 * binlog gives the same positions and GTIDs to other transactions, so only their content tells. The dump therefore begins with the groups
 * that were applied last, and each must be the one that was applied.
 *
 * Invariant: no group behind the checkpoint counts as new before all remembered groups of its sequence have been seen, unchanged.
 */
export class GroupHistory {
  readonly #checkpoint: Position;
  /** Remembered groups by sequence, oldest first. */
  readonly #kept = new Map<string, Witness[]>();
  /** Those that the source has not shown yet. */
  readonly #pending: Set<Witness>;
  /** MariaDB on another server: the last applied group of each domain that is sent again. */
  readonly #until: Map<string, string>;
  /** The last group of each domain of MariaDB. */
  readonly #last: Map<string, string>;
  /** The group that is being read. */
  #group: Group;
  #ending: Position | null = null;

  /** `witnesses`: the groups that the dump sends again, of those that were applied up to the checkpoint. */
  constructor(checkpoint: Position, witnesses: readonly Witness[]) {
    this.#checkpoint = checkpoint;
    this.#pending = new Set(witnesses);
    this.#last = lastOfDomains(checkpoint.gtid);
    this.#until = new Map();
    for (const witness of witnesses) {
      this.#remember(witness);
      const domain = sequenceOf(witness.gtid);
      const until = this.#last.get(domain);
      if (until !== undefined) this.#until.set(domain, until);
    }
    this.#group = newGroup(null, checkpoint, false);
  }

  /** What to keep with the checkpoint: the last groups, in the order of their sequences. */
  get witnesses(): readonly Witness[] {
    return [...this.#kept.values()].flat();
  }

  /** Every remembered group was seen. */
  get isProven(): boolean {
    return this.#pending.size === 0;
  }

  /** Positions up to here were applied before, so they are no progress. */
  isBehind(position: Position): boolean {
    if (!this.isProven) return true;
    return position.file !== '' && this.#isOfServer && comparePositions(position, this.#checkpoint) < 0;
  }

  /** The group that is being read was applied before, so it is only compared. */
  get isApplied(): boolean {
    return this.#group.isApplied;
  }

  /** A group begins. Raises source-diverged when it is new although remembered ones were not seen. */
  begin(gtid: string | null, start: Position): void {
    const isApplied = this.#wasApplied(gtid, start);
    if (!isApplied) this.#assertSeen(sequenceOf(gtid));
    this.#group = newGroup(gtid, start, isApplied);
    this.#ending = null;
  }

  /** Rows of the source database, as the source logged them. `change`: what happened to them in which table. */
  rows(change: string, images: Buffer, at: number): void {
    // Servers divide the rows of a statement into events as they like.
    if (change !== this.#group.change) this.#add(change, at);
    this.#group.change = change;
    this.#group.digest = crc32(images, this.#group.digest);
  }

  /** A statement of the source database that defines or empties something. */
  statement(sql: string, at: number): void {
    this.#add(sql, at);
    this.#group.change = null;
  }

  #add(text: string, at: number): void {
    const group = this.#group;
    if (!group.isOfOurs) group.at = at;
    group.isOfOurs = true;
    group.digest = crc32(text, group.digest);
  }

  /** The group ends. Raises source-diverged when it is not the one that was applied. */
  end(): void {
    const { gtid, start, isApplied, at, digest, isOfOurs } = this.#group;
    const sequence = sequenceOf(gtid);
    if (isApplied) this.#compare();
    else if (isOfOurs) {
      const before = gtid === null ? null : (this.#last.get(sequence) ?? null);
      this.#remember({ gtid, before, file: start.file, offset: start.offset, at, digest });
    }
    if (gtid === null) return;
    if (isMariadb(gtid) && !isApplied) this.#last.set(sequence, gtid);
    if (this.#until.get(sequence) === gtid) this.#until.delete(sequence);
  }

  /**
   * The source has nothing more to send now. Raises source-diverged when it has ended before what was applied. It may say so once while it
   * looks for the start of the dump, so only a second time without progress counts.
   */
  idle(position: Position): void {
    if (this.isProven) return;
    const isStill = this.#ending !== null && comparePositions(this.#ending, position) === 0;
    this.#ending = position;
    if (isStill) this.#diverged('its binlog ends before transactions that were applied');
  }

  /** The error that a failure of the dump means while the proof is not complete: the source does not have the positions asked for. */
  judged(error: unknown): unknown {
    const isOfDump =
      error instanceof TidegateError && (error.kind === 'binlog-unreadable' || error.kind === 'binlog-damaged');
    return isOfDump && !this.isProven ? this.#error('it cannot send the transactions that were applied last') : error;
  }

  get #isOfServer(): boolean {
    return this.#checkpoint.file !== '';
  }

  #wasApplied(gtid: string | null, start: Position): boolean {
    if (this.#isOfServer) return comparePositions(start, this.#checkpoint) < 0;
    if (gtid === null) return false;
    return isMariadb(gtid) ? this.#until.has(sequenceOf(gtid)) : this.#pendingOf(gtid, null) !== undefined;
  }

  #pendingOf(gtid: string | null, start: Position | null): Witness | undefined {
    return [...this.#pending].find((witness) =>
      gtid === null ? witness.file === start?.file && witness.offset === start.offset : witness.gtid === gtid,
    );
  }

  #compare(): void {
    const { gtid, start, at, digest, isOfOurs } = this.#group;
    const witness = this.#pendingOf(gtid, start);
    if (witness === undefined) return;
    if (!isOfOurs || witness.digest !== digest || witness.at !== at)
      this.#diverged(
        `its transaction ${gtid === null ? '' : `${gtid} `}at ${formatPosition(start)} is not the one that was applied`,
      );
    this.#pending.delete(witness);
  }

  #assertSeen(sequence: string): void {
    if (this.isProven) return;
    for (const witness of this.#pending)
      if (this.#isOfServer || sequenceOf(witness.gtid) === sequence)
        this.#diverged('transactions that were applied are missing in its binlog');
  }

  #remember(witness: Witness): void {
    const sequence = sequenceOf(witness.gtid);
    const kept = [...(this.#kept.get(sequence) ?? []), witness].slice(-keptOfEach);
    // The sequence that changed last comes last.
    this.#kept.delete(sequence);
    this.#kept.set(sequence, kept);
    if (this.#kept.size > keptSequences) this.#kept.delete(this.#kept.keys().next().value ?? '');
  }

  #diverged(what: string): never {
    throw this.#error(what);
  }

  #error(what: string): TidegateError {
    return new TidegateError('source-diverged', `the history of the source is another one: ${what}`);
  }
}

interface Group {
  readonly gtid: string | null;
  readonly start: Position;
  readonly isApplied: boolean;
  at: number;
  digest: number;
  /** It has changed the source database. */
  isOfOurs: boolean;
  /** What the last rows were: the change and the table. */
  change: string | null;
}

function newGroup(gtid: string | null, start: Position, isApplied: boolean): Group {
  return { gtid, start, isApplied, at: 0, digest: 0, isOfOurs: false, change: null };
}

function isMariadb(gtid: string): boolean {
  return !gtid.includes(':');
}
