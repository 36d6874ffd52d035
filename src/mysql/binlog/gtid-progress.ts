import { GtidSet, MariadbGtidPosition } from '@vlasky/zongji';
import { lastOfDomains, sequenceOf } from '../../change/witness.ts';

/** The transactions applied so far, as GTIDs in the notation of the server. */
export interface GtidProgress {
  /** A transaction with this id is complete. Raises RangeError if it is no id of such a server. */
  add(gtid: string): void;
  /** null: the server has no GTIDs, or the start position has none. */
  readonly text: string | null;
}

export function mysqlGtids(start: string | null): GtidProgress {
  if (start === null) return noGtids;
  const set = GtidSet.parse(start.replaceAll(/\s/g, ''));
  return {
    add: (gtid) => {
      if (!gtid.includes(':')) throw new RangeError(otherKind);
      set.add(gtid);
    },
    get text() {
      return set.toString();
    },
  };
}

/** A MariaDB position is the last transaction of each replication domain: `domain-server-sequence,…`. */
export function mariadbGtids(start: string | null): GtidProgress {
  const last = lastOfDomains(start);
  if (start !== null) MariadbGtidPosition.parse(start);
  return {
    add: (gtid) => {
      if (gtid.includes(':')) throw new RangeError(otherKind);
      last.set(sequenceOf(gtid), gtid);
    },
    get text() {
      return last.size === 0 ? start : [...last.values()].join(',');
    },
  };
}

const otherKind = 'a transaction has the GTID of another kind of server';

const noGtids: GtidProgress = { add: () => undefined, text: null };
