import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ZoneOffsets } from '../../src/mapping/zone-offsets.ts';
import { sharedServers } from '../support/shared-servers.ts';

const day = 86_400;
/** Rules of 2038 and later are not yet fixed. */
const lastDay = Date.UTC(2037, 11, 31) / 1000 / day;

let target: Client;

beforeAll(async () => {
  const { host, port, user, password } = sharedServers().target;
  target = new Client({ host, port, user, password, database: 'postgres' });
  await target.connect();
});

afterAll(async () => {
  await target?.end();
});

async function askPostgres(zone: string, instants: readonly number[]): Promise<number[]> {
  const { rows } = await target.query<{ offset: number }>(
    `select extract(epoch from (to_timestamp(s) at time zone $1) - (to_timestamp(s) at time zone 'UTC'))::integer as offset
       from unnest($2::bigint[]) with ordinality as t(s, n) order by n`,
    [zone, instants],
  );
  return rows.map(({ offset }) => offset);
}

// Monrovia was 44:30 behind until 1972, Apia skipped a day.
test.each([
  ['America/New_York', 136],
  ['Europe/Berlin', 116],
  ['Australia/Lord_Howe', 113],
  ['Asia/Kathmandu', 1],
  ['Africa/Monrovia', 1],
  ['Pacific/Apia', 20],
])('%s: the offset of every day and around every change is the one PostgreSQL knows', async (zone, leastChanges) => {
  const offsets = new ZoneOffsets(zone);
  const days = Array.from({ length: lastDay }, (_, index) => index * day);
  const changes = days.filter((start) => offsets.at(start) !== offsets.at(start + day));
  expect(changes.length).toBeGreaterThanOrEqual(leastChanges);
  const quarters = changes.flatMap((start) => Array.from({ length: 96 }, (_, quarter) => start + quarter * 900));
  const instants = [...days, ...quarters.flatMap((at) => [at - 1, at, at + 30 * 60 - 30])].filter((at) => at >= 0);
  const asked = await askPostgres(zone, instants);
  expect(instants.filter((at, index) => offsets.at(at) !== asked[index])).toEqual([]);
});
