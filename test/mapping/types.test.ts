import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startSource } from '../../testing/servers/source.ts';
import type { SourceServer, TargetServer } from '../../testing/servers/server.ts';
import { startTarget } from '../../testing/servers/target.ts';

import { sharedServers } from '../support/shared-servers.ts';
import { casesOn } from './types/all-cases.ts';
import { type Column, cellTable } from './types/cell-table.ts';
import { type CaseResult, judgeTypes } from './types/oracle.ts';
import type { CaseServer } from './types/type-case.ts';

/** The same seed produces the same random values. */
const seed = Number(process.env['TIDEGATE_TEST_SEED'] ?? Date.now() % 1_000_000);
/** This zone is neither UTC nor an integer number of hours from it. */
const zone = '--default-time-zone=+05:45';

function expectAsPromised(server: CaseServer, results: readonly CaseResult[]): void {
  expect(
    results.filter(({ problems }) => problems.length > 0),
    `seed ${seed}`,
  ).toEqual([]);
  const promised = casesOn(server).filter(({ name }) => results.some((one) => one.name === name));
  for (const { name, notCarried } of promised) {
    const reason = notCarried?.(server);
    const { refused = null, values = 0 } = results.find((one) => one.name === name) ?? {};
    expect(refused, name).toEqual(reason === undefined ? null : expect.stringContaining(reason));
    expect(values, name).toBeGreaterThan(0);
  }
}

describe('a value of every type is the same in snapshot, insert, update and at the source', () => {
  let source: SourceServer;

  beforeAll(async () => {
    source = await startSource({ flavor: 'mariadb', version: '10.11', args: [zone] });
  });

  afterAll(async () => {
    await source?.stop();
  });

  test('on MariaDB 10.11', { timeout: 900_000 }, async () => {
    const results = await judgeTypes(source, sharedServers().target, { seed, random: 8 });
    expectAsPromised(source, results);
    expect(results.length).toBeGreaterThan(250);
  });
});

const servers = [
  { flavor: 'mariadb', version: '10.5' },
  { flavor: 'mariadb', version: '10.11' },
  { flavor: 'mariadb', version: '10.11', engine: 'MyISAM' },
  { flavor: 'mariadb', version: '11.8' },
  { flavor: 'mysql', version: '5.6' },
  { flavor: 'mysql', version: '9.7' },
] as const;

function describeMatrix(): void {
  const columns: Column[] = [];
  const lacking: string[] = [];
  const targets: TargetServer[] = [];

  beforeAll(async () => {
    targets.push(sharedServers().target);
    const newest = await startTarget({ version: '18' }).catch((error: unknown) => {
      lacking.push(`PostgreSQL 18: ${String(error)}`);
    });
    if (newest !== undefined) targets.push(newest);
  });

  afterAll(async () => {
    for (const target of targets.slice(1)) await target.stop();
    for (const line of lacking) process.stdout.write(`could not be had: ${line}\n`);
    const versions = new Set(columns.map(({ target }) => target));
    process.stdout.write(`equal cells, on each of ${[...versions].join(', ')}:\n${cellTable(columns)}\n`);
  });

  test.for(servers)('$flavor $version $engine', async ({ flavor, version, ...rest }) => {
    const name = `${flavor === 'mariadb' ? 'MariaDB' : 'MySQL'} ${version}${'engine' in rest ? ` ${rest.engine}` : ''}`;
    const source = await startSource({ flavor, version, args: [zone] }).catch((error: unknown) => {
      lacking.push(`${name}: ${String(error)}`);
    });
    if (source === undefined) return;
    try {
      for (const target of targets) {
        const results = await judgeTypes(source, target, { seed, random: 100, ...rest });
        columns.push({ source: name, target: `PostgreSQL ${target.version}`, results });
        expectAsPromised(source, results);
      }
    } finally {
      await source.stop();
    }
  });
}

// The matrix covers every supported server: `npm run test:matrix`.
if (process.env['TIDEGATE_MATRIX'] === '1') describe('the matrix of servers', { timeout: 1_800_000 }, describeMatrix);
