import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { Job } from '../postgres/control/jobs.ts';
import { HeadHistory } from './head-history.ts';
import { type Answers, describeLag } from './lag-report.ts';

const head = { file: 'b.000002', offset: 500, gtid: null };
const at = new Date('2026-11-24T02:37:10.123Z');
const counts = { rows: 9, missing: 1, extra: 2, different: 3, changing: 0, rejected: 4, repaired: 5 };
const job: Job = {
  ...{ id: '7', table: 'visit', kind: 'verify', repair: false, condition: null, confirmed: false, unconfirmed: false },
  ...{ state: 'running', reason: null, progress: null, estimatedRows: 10, counts, examples: [] },
  ...{ requestedBy: 'me', requestedAt: at, startedAt: at, finishedAt: at },
};

/** Answers in which every field has a value. */
const everything: Answers = {
  source: {
    ...{ identity: 'one', clock: 1_000_000, head, clockSkew: 3, retention: 86_400 },
    lacks: () => false,
    transactionsSince: () => 12,
  },
  files: [
    { file: 'b.000001', size: 700 },
    { file: 'b.000002', size: 500 },
  ],
  status: {
    checkpoint: {
      position: { file: 'b.000001', offset: 600, gtid: '0-1-5' },
      committedAt: new Date(999_990_000),
      sourceIdentity: 'one',
      sourceDatabase: 'clinic',
      witnesses: [],
    },
    service: { state: 'retrying', ageSeconds: 1, isFresh: true },
    detail: {
      ...{ reason: 'no route', remedy: 'fix it', rowsPerSecond: 4, secondsToCatchUp: 5 },
      snapshot: {
        tables: 3,
        tablesDone: 1,
        rows: 30,
        estimatedRows: 60,
        percent: 50,
        rowsPerSecond: 3,
        secondsLeft: 10,
      },
      ...{ identity: 'one', heads: [] },
    },
  },
  findings: {
    tables: [
      { table: 'claim', state: 'suspended', reason: 'changed', copiedRows: 1, retryAt: new Date(0), decision: null },
    ],
    leftOut: [{ state: 'refused', reason: 'no key', tables: ['log'] }],
    deadLetters: [{ table: 'visit', column: 'note', reason: 'no text', sqlState: '23514', rows: 2 }],
    conversions: [{ table: 'visit', column: 'day', kind: 'date-to-null', count: 8 }],
    jobs: [job],
    verifications: [{ ...job, state: 'done' }],
    failedJobs: [{ ...job, state: 'failed', reason: 'no room' }],
    events: [],
  },
  presence: null,
  history: new HeadHistory(),
  problems: ['something'],
};

/** No database answered. */
const nothing: Answers = {
  ...{ source: null, files: null, status: null, findings: null, presence: null },
  ...{ history: new HeadHistory(), problems: ['why'] },
};

/** The type of each field, by its path. The fields of a list are those of its first element. */
function typesOf(value: unknown, path = ''): Map<string, string> {
  const name = Array.isArray(value) ? 'list' : value === null ? 'null' : typeof value;
  const types = new Map<string, string>(path === '' ? [] : [[path, name]]);
  const below = Array.isArray(value)
    ? typesOf(value[0], `${path}[]`)
    : Object.entries(value instanceof Object ? value : {}).flatMap(([field, inner]) => [
        ...typesOf(inner, path === '' ? field : `${path}.${field}`),
      ]);
  for (const [field, type] of below) types.set(field, type);
  return types;
}

async function documented(): Promise<Map<string, string>> {
  const page = await readFile(new URL('../../docs/lag.md', import.meta.url), 'utf8');
  const [, table = ''] = page.split(/^\| field .*\n\| --.*\n/m);
  const rows = table.slice(0, table.indexOf('\n\n')).split('\n');
  return new Map(
    rows
      .map((row) => row.split('|').map((cell) => cell.trim()))
      .map(([, a = '', b = '']) => [a.replaceAll('`', ''), b]),
  );
}

/** The JavaScript names of the types of docs/lag.md. */
const names: Readonly<Record<string, string>> = {
  text: 'string',
  number: 'number',
  object: 'object',
  list: 'list',
  null: 'null',
  'true or false': 'boolean',
};

function allowed(type: string): string[] {
  if (type === 'list of texts') return ['list'];
  return (type === 'true or false' ? [type] : type.split(' or ')).map((each) => names[each] ?? `what is ${each}?`);
}

const printed = (answers: Answers) => typesOf(JSON.parse(JSON.stringify(describeLag(answers))));

it('prints the fields of docs/lag.md and no others, in that order', async () => {
  // docs/lag.md has no row for the elements of a list, only for their fields.
  const fields = [...printed(everything).keys()].filter((field) => !field.endsWith('[]'));
  expect(fields).toEqual([...(await documented()).keys()]);
});

it('prints each field with its documented type, and null only where that is documented', async () => {
  const types = await documented();
  for (const answers of [everything, nothing])
    for (const [field, type] of printed(answers))
      if (!field.endsWith('[]'))
        expect([field, allowed(types.get(field) ?? '')]).toEqual([field, expect.arrayContaining([type])]);
});

it('reports everything as unknown when no database answered', () => {
  const { state, problems, ...rest } = describeLag(nothing);
  expect({ state, problems }).toEqual({ state: 'unknown', problems: ['why'] });
  expect(Object.entries(rest).filter(([, value]) => value !== null)).toEqual([]);
});

it('reports no list as empty when the findings are unknown, and then no lag either', () => {
  const { sourcePosition, appliedPosition, ...report } = describeLag({ ...everything, findings: null });
  expect([sourcePosition, appliedPosition]).not.toContain(null);
  expect(report).toMatchObject({
    ...{ suspendedTables: null, deadLetters: null, conversions: null },
    ...{ jobs: null, verifications: null, failedJobs: null, secondsBehind: null },
  });
});

describe('a service without a fresh status', () => {
  const silent = { ...everything.status, checkpoint: everything.status?.checkpoint ?? null, detail: null };
  const report = (presence: Answers['presence']) =>
    describeLag({
      ...{ ...everything, presence, problems: [] },
      status: { ...silent, service: { state: 'streaming', ageSeconds: 60, isFresh: false } },
    });

  it('is stopped if the target shows that no instance runs', () => {
    expect(report({ kind: 'absent' })).toMatchObject({
      state: 'stopped',
      reason: null,
      rowsPerSecond: null,
      problems: [],
    });
    expect(report({ kind: 'absent' }).remedy).toContain('start the service');
  });

  it.each([
    [{ kind: 'holder', holder: 'tide:12' }, 'tide:12 holds the lease and has reported nothing for 60 s'],
    [{ kind: 'connected' }, 'a service is connected and has reported nothing for 60 s'],
    [{ kind: 'unseen' }, 'the target is read-only'],
  ] as const)('is unknown with the reason otherwise: %o', (presence, problem) => {
    expect(report(presence)).toMatchObject({ state: 'unknown', remedy: null, rowsPerSecond: null, snapshot: null });
    expect(report(presence).problems).toEqual([expect.stringContaining(problem)]);
  });
});
