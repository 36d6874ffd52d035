/** The number of transactions that a MySQL server has executed and the second set lacks. */
export function mysqlTransactionsBehind(executed: string, applied: string): number {
  const has = readSet(applied);
  let behind = 0;
  for (const [source, intervals] of readSet(executed)) {
    const covered = has.get(source) ?? [];
    for (const interval of intervals)
      behind += length(interval) - covered.reduce((sum, other) => sum + length(overlap(interval, other)), 0);
  }
  return behind;
}

/**
 * The same for MariaDB. A position there is the last number of each domain, and the state of a server may name several servers of one
 * domain. The numbers of a domain are assigned in sequence (https://mariadb.com/kb/en/gtid/).
 */
export function mariadbTransactionsBehind(state: string, applied: string): number {
  const has = lastOfDomains(applied);
  let behind = 0;
  for (const [domain, sequence] of lastOfDomains(state)) behind += Math.max(0, sequence - (has.get(domain) ?? 0));
  return behind;
}

interface Interval {
  readonly from: number;
  readonly to: number;
}

/** Parses `uuid:1-5:7,uuid:tag:3`. The key is the text before the numbers. Intervals of one key do not overlap. */
function readSet(text: string): Map<string, Interval[]> {
  const set = new Map<string, Interval[]>();
  for (const part of text.replaceAll(/\s/g, '').toLowerCase().split(',')) {
    const [server = '', ...rest] = part.split(':');
    let source = server;
    for (const one of rest) {
      const [from, to = from] = one.split('-').map(Number);
      if (from === undefined || to === undefined) continue;
      if (Number.isNaN(from)) source = `${server}:${one}`;
      else set.set(source, [...(set.get(source) ?? []), { from, to }]);
    }
  }
  return set;
}

function overlap(a: Interval, b: Interval): Interval {
  return { from: Math.max(a.from, b.from), to: Math.min(a.to, b.to) };
}

function length({ from, to }: Interval): number {
  return Math.max(0, to - from + 1);
}

function lastOfDomains(text: string): Map<string, number> {
  const last = new Map<string, number>();
  for (const [, domain = '', sequence] of text.matchAll(/(\d+)-\d+-(\d+)/g))
    last.set(domain, Math.max(Number(sequence), last.get(domain) ?? 0));
  return last;
}
