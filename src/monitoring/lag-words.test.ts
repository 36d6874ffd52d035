import { stripVTControlCharacters } from 'node:util';
import { expect, it } from 'vitest';
import type { LagReport } from './lag-report.ts';
import { inTime, lagDetails, lagHeadline } from './lag-words.ts';

const counts = { rows: 9, extra: 2, different: 3, rejected: 4, repaired: 0 };
const report: LagReport = {
  ...{ state: 'retrying', reason: 'target: connect failed', remedy: 'Check TARGET_DB_HOST', secondsBehind: 7_260 },
  ...{ bytesBehind: 3_000_000, transactionsBehind: 1_234, rowsPerSecond: 1_500, secondsToCatchUp: 90 },
  snapshot: {
    tables: 3,
    tablesDone: 1,
    rows: 1_000,
    estimatedRows: 2_000,
    percent: 50,
    rowsPerSecond: 500,
    secondsLeft: 130,
  },
  ...{ retentionSeconds: 259_200, headroomSeconds: 200_000, clockSkewSeconds: -300 },
  ...{ sourcePosition: 'b.000002:4', appliedPosition: 'b.000001:4', appliedGtid: null },
  suspendedTables: [
    { table: 'claim', reason: 'its definition changed', retryAt: null, remedy: 'tidegate backfill claim' },
  ],
  leftOutTables: [
    { state: 'refused', reason: 'it has no primary key', tables: ['a', 'b', 'c', 'd', 'e'] },
    { state: 'suspended', reason: 'its definition changed', tables: ['claim'] },
    { state: 'gone', reason: 'the source dropped it', tables: ['old'] },
  ],
  deadLetters: [{ table: 'visit', column: 'note', reason: 'no text', sqlState: null, rows: 2 }],
  conversions: [
    { table: 'visit', column: 'day', kind: 'date-to-null', count: 1_000 },
    { table: 'claim', column: 'day', kind: 'date-to-null', count: 500 },
  ],
  jobs: [{ id: '7', table: 'visit', kind: 'verify', state: 'running', rows: 5, estimatedRows: 10 }],
  verifications: [
    { table: 'visit', at: new Date(Date.now() - 7_200_000), isEqual: true, missing: 0, ...counts },
    { table: 'fee', at: new Date(), isEqual: false, missing: 1, ...counts },
  ],
  failedJobs: [{ id: '8', table: 'log_line', kind: 'refresh', at: new Date(), reason: 'too large' }],
  problems: ['source: no answer within 3 s'],
};

const words = (changes: Partial<LagReport> = {}) =>
  lagDetails({ ...report, ...changes }).map((line) => stripVTControlCharacters(line).trim().replaceAll(/ +/g, ' '));

it('the headline has state, lag, speed and time to catch up', () => {
  expect(stripVTControlCharacters(lagHeadline(report))).toBe(
    'retrying 50 %, 2 h 1 min behind, 1,500 rows/s, caught up in 90 s, ' +
      '1 table suspended, 1 table not equal, 1 table with a failed job, 1 table with dead letters, 5 tables left out',
  );
  const headline = (changes: Partial<LagReport>) => stripVTControlCharacters(lagHeadline({ ...report, ...changes }));
  expect(headline({ snapshot: null, secondsBehind: null })).toContain('retrying, lag unknown');
  expect(headline({ state: 'snapshotting', secondsBehind: null })).toMatch(
    /^snapshotting 50 %, 500 rows\/s, about 2 min left,/,
  );
});

it('the details have everything that a report has', () => {
  expect(words()).toEqual([
    'reason target: connect failed',
    'to do Check TARGET_DB_HOST',
    'behind 1,234 transactions, 2.9 MiB of binlog',
    'first copy 1 of 3 tables, 1,000 of about 2,000 rows, 500 rows/s, about 2 min left',
    'headroom the source keeps what is needed for at least 2 days 7 h more',
    "clocks the source's is 5 min behind this one",
    'verified 1 of 2 tables equal, the oldest 2 h ago',
    'job verify visit: running, 5 of about 10 rows',
    'suspended claim: its definition changed → tidegate backfill claim',
    'left out 5 tables: it has no primary key: a, b, c and 2 more',
    'left out 1 table: the source dropped it: old',
    'not equal fee: 1 missing, 2 extra, 3 different, 4 cannot be replicated → tidegate verify --repair fee',
    'failed refresh log_line: too large',
    'dead letters 2 rows of visit.note: no text → tidegate dead-letters list visit',
    'converted 1,500 values in 2 columns (date-to-null)',
    'problem source: no answer within 3 s',
  ]);
});

it('shows when the needed binlog is gone, and when nothing is purged', () => {
  expect(words({ headroomSeconds: 0 })).toContain(
    'headroom none: the source has purged what is needed → tidegate resync',
  );
  expect(words({ headroomSeconds: null, retentionSeconds: 0 })).toContain(
    'headroom the source purges nothing by itself',
  );
});

it('cuts long lists, and replaces control characters in names', () => {
  const suspendedTables = Array.from({ length: 300 }, () => ({
    table: 'a\u001b[2Jb',
    reason: 'changed',
    retryAt: null,
    remedy: 'wait',
  }));
  const suspended = lagDetails({ ...report, suspendedTables }).filter((line) => line.includes('suspended'));
  expect(suspended).toHaveLength(11);
  expect(suspended.at(-1)).toContain('and 290 more');
  expect(suspended.join('')).not.toContain('\u001b[2J');
});

it.each([
  [0, '0 s'],
  [0.4, '0.4 s'],
  [119, '119 s'],
  [120, '2 min'],
  [7_199, '119 min'],
  [7_200, '2 h'],
  [9_000, '2 h 30 min'],
  [172_800, '2 days'],
  [604_800, '7 days'],
])('shows %d seconds as %s', (seconds, text) => expect(inTime(seconds)).toBe(text));
