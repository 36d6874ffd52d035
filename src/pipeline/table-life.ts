import type { TableState } from '../postgres/control/control-schema.ts';

/*
 * The life of a table, in the order in which states happen. `step` below decides everything that happens when the list of tables is
 * brought in line with the source: at each start, after each failure, and when a table is due. The other ways between states are named here.
 *
 * - (unknown): the control schema does not list it. `step` adds it.
 * - snapshotting: set by `step` in the first run. `finishSnapshot` leads to streaming when all tables are copied.
 * - backfilling: set by `step` for a later, returning or reselected table: it streams, and a job reads its older rows. `finishBackfill`
 *   leads to streaming when the job is done. A job that fails or is cancelled leads to suspended.
 * - streaming: the stream keeps it exact. A statement or rows that cannot be followed, and rows that PostgreSQL refuses, lead to suspended.
 *   So does a source that cannot read it after a crash or a repair.
 * - full-refresh: set by `step` for a table of TABLES_REFRESH without a key. Jobs copy it as a whole.
 * - suspended: set by `suspendTable` from anywhere, with a reason. It returns to backfilling by `step` when its pause is over, or when a
 *   job of a person asks for it. Where only a person can decide, there is no pause to wait for.
 * - excluded: set by `step` when it is no longer selected. It returns to backfilling when it is selected again.
 * - gone: set by `step` when the source has dropped it. It returns to backfilling when the source has a table of that name again.
 */

/** What decides the next state of a table. */
export interface TableFacts {
  /** Its state in the control schema; `unknown`: it is not listed. */
  readonly state: TableState | 'unknown';
  /** `keyed`: it can be streamed. `keyless`: it has no key, and TABLES_REFRESH names it. `refused`: it cannot be replicated. */
  readonly source: 'keyed' | 'keyless' | 'refused' | 'absent';
  /** TABLES_INCLUDE and TABLES_EXCLUDE select it. */
  readonly isSelected: boolean;
  /** `job`: an open job reads all of it. `return`: it is suspended, and its pause is over. */
  readonly asked: 'nothing' | 'return' | 'job';
  /** It omits the same columns now as when it was copied. */
  readonly omitsSame: boolean;
  /** What is under its name at the target; see Standing. */
  readonly target: 'ours' | 'free' | 'foreign' | 'closed';
  /** Nothing was copied before, so tables are copied before the stream starts. */
  readonly isFirst: boolean;
}

/** Why a table is suspended by a step. */
export type SuspendCause = 'foreign' | 'closed' | 'refused' | 'cancelled';

/**
 * What happens to a table, and its state afterwards. `none`: nothing. `add`: it is made and copied. `read`: it gets its present columns and
 * is read again. `refresh`: it gets its present columns and is copied as a whole.
 */
export type Step =
  | { readonly action: 'none'; readonly next: TableFacts['state'] }
  | { readonly action: 'add'; readonly next: 'snapshotting' | 'backfilling' }
  | { readonly action: 'read'; readonly next: 'backfilling' }
  | { readonly action: 'refresh'; readonly next: 'full-refresh' }
  | { readonly action: 'exclude'; readonly next: 'excluded' }
  | { readonly action: 'mark-gone'; readonly next: 'gone' }
  | { readonly action: 'suspend'; readonly next: 'suspended'; readonly cause: SuspendCause };

const read: Step = { action: 'read', next: 'backfilling' };
const refresh: Step = { action: 'refresh', next: 'full-refresh' };

function stay(state: TableFacts['state']): Step {
  return { action: 'none', next: state };
}

function suspend(cause: SuspendCause): Step {
  return { action: 'suspend', next: 'suspended', cause };
}

/** Decides what happens to a table. Total: every combination of facts has an answer, and its test names each. */
export function step(facts: TableFacts): Step {
  const { state, source, isSelected } = facts;
  if (!isSelected)
    return state === 'unknown' || state === 'excluded' ? stay(state) : { action: 'exclude', next: 'excluded' };
  if (source === 'refused') return ifRefused(facts);
  if (source !== 'absent') return ifReplicable(facts, source === 'keyless');
  return state === 'unknown' || state === 'excluded' || state === 'gone'
    ? stay(state)
    : { action: 'mark-gone', next: 'gone' };
}

function ifRefused({ state, asked }: TableFacts): Step {
  const stays = state === 'unknown' || state === 'excluded' || (state === 'suspended' && asked === 'nothing');
  return stays ? stay(state) : suspend('refused');
}

function ifReplicable({ state, asked, omitsSame, target, isFirst }: TableFacts, isKeyless: boolean): Step {
  if (state === 'suspended' && asked === 'nothing') return stay(state);
  // Nothing of somebody else is touched, and nothing that cannot be written is tried.
  if (target === 'foreign' || target === 'closed') return suspend(target);
  // Every table of ours is listed, so whatever has the name of an unlisted one is not ours.
  if (state === 'unknown' && target === 'ours') return suspend('foreign');
  if (isKeyless) return refresh;
  switch (state) {
    case 'unknown':
      return { action: 'add', next: isFirst ? 'snapshotting' : 'backfilling' };
    case 'snapshotting':
    case 'streaming':
      return target === 'free' || !omitsSame ? read : stay(state);
    case 'backfilling':
      if (target === 'free' || (asked === 'job' && !omitsSame)) return read;
      return asked === 'job' ? stay(state) : suspend('cancelled');
    default:
      return read;
  }
}
