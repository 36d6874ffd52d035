import { afterEach, expect, test, vi } from 'vitest';
import { NotHere, firstToWork, urlFrom } from './origins.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

const nowhere = async () => await Promise.reject(new NotHere('none here'));
const works = (from: string) => async () => await Promise.resolve(from);

test('the first origin that has a server starts it', async () => {
  vi.stubEnv('TIDEGATE_SERVERS', '');
  expect(await firstToWork('server', { machine: works('m'), container: works('c'), fetched: works('f') })).toBe('m');
  expect(await firstToWork('server', { machine: nowhere, container: works('c'), fetched: works('f') })).toBe('c');
  expect(await firstToWork('server', { machine: nowhere, container: nowhere, fetched: works('f') })).toBe('f');
});

test('an installed server that does not start is an error; no other origin is tried', async () => {
  vi.stubEnv('TIDEGATE_SERVERS', '');
  const broken = async () => await Promise.reject(new Error('broken'));
  const started = firstToWork('server', { machine: broken, container: works('c'), fetched: works('f') });
  await expect(started).rejects.toThrow('no server available; tried:\n  machine: broken');
});

test('TIDEGATE_SERVERS names the only origin to try', async () => {
  vi.stubEnv('TIDEGATE_SERVERS', 'fetched');
  expect(await firstToWork('server', { machine: works('m'), container: works('c'), fetched: works('f') })).toBe('f');
  const started = firstToWork('server', { machine: works('m'), container: works('c'), fetched: nowhere });
  await expect(started).rejects.toThrow('tried:\n  fetched: none here');
});

test('an origin that cannot do what is asked for is not tried, even if it is named', async () => {
  for (const forced of ['', 'container']) {
    vi.stubEnv('TIDEGATE_SERVERS', forced);
    expect(await firstToWork('server', { machine: nowhere, fetched: works('f') })).toBe('f');
  }
});

test('an unknown origin is refused', async () => {
  vi.stubEnv('TIDEGATE_SERVERS', 'docker');
  const started = firstToWork('server', { machine: works('m'), container: works('c'), fetched: works('f') });
  await expect(started).rejects.toThrow('TIDEGATE_SERVERS');
});

test('a URL gives host, port and a decoded account', () => {
  vi.stubEnv('TIDEGATE_TEST_SOURCE_URL', 'mysql://ad%40min:p%3Aw@db.example');
  expect(urlFrom('TIDEGATE_TEST_SOURCE_URL')).toEqual({
    host: 'db.example',
    port: 3306,
    user: 'ad@min',
    password: 'p:w',
  });
  vi.stubEnv('TIDEGATE_TEST_TARGET_URL', 'postgresql://admin:pw@127.0.0.1');
  expect(urlFrom('TIDEGATE_TEST_TARGET_URL')).toMatchObject({ port: 5432 });
  vi.stubEnv('TIDEGATE_TEST_TARGET_URL', '');
  expect(urlFrom('TIDEGATE_TEST_TARGET_URL')).toBeNull();
});
