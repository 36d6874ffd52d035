import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
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
  target: {
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
        snapshot: { tables: 3, tablesDone: 1, rows: 30, estimatedRows: 60, percent: 50 },
        ...{ identity: 'one', heads: [] },
      },
    },
    findings: {
      tables: [
        { table: 'claim', state: 'suspended', reason: 'changed', copiedRows: 1, retryAt: new Date(0), decision: null },
      ],
      deadLetters: [{ table: 'visit', column: 'note', reason: 'no text', sqlState: '23514', rows: 2 }],
      conversions: [{ table: 'visit', column: 'day', kind: 'date-to-null', count: 8 }],
      jobs: [job],
      verifications: [{ ...job, state: 'done' }],
      failedJobs: [{ ...job, state: 'failed', reason: 'no room' }],
      events: [],
    },
  },
  history: new HeadHistory(),
  problems: ['something'],
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
  const nothing: Answers = { source: null, files: null, target: null, history: new HeadHistory(), problems: ['why'] };
  const types = await documented();
  for (const answers of [everything, nothing])
    for (const [field, type] of printed(answers))
      if (!field.endsWith('[]'))
        expect([field, allowed(types.get(field) ?? '')]).toEqual([field, expect.arrayContaining([type])]);
});

it('reports everything as unknown when no database answered', () => {
  const report = describeLag({
    source: null,
    files: null,
    target: null,
    history: new HeadHistory(),
    problems: ['why'],
  });
  expect(report).toMatchObject({ state: 'unknown', secondsBehind: null, headroomSeconds: null, problems: ['why'] });
});

it('reports a service without a fresh status as stopped, without its details', () => {
  const { status, findings } = everything.target ?? {};
  if (status === undefined || status === null || findings === undefined) throw new Error('expected a status');
  const silent = { ...status, service: { state: 'streaming', ageSeconds: 60, isFresh: false } };
  const report = describeLag({ ...everything, target: { status: silent, findings } });
  expect(report).toMatchObject({ state: 'stopped', reason: null, rowsPerSecond: null, snapshot: null });
  expect(report.remedy).toContain('start the service');
});
