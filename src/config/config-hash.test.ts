import { expect, it } from 'vitest';
import { configHash } from './config-hash.ts';
import { loadConfig } from './load-config.ts';

const environment = {
  SOURCE_DB_HOST: '127.0.0.1',
  SOURCE_DB_NAME: 'clinic',
  SOURCE_DB_READONLY_USER: 'reader',
  SOURCE_DB_READONLY_PASSWORD: 'one',
  SOURCE_DB_REPLICATION_USER: 'replicator',
  SOURCE_DB_REPLICATION_PASSWORD: 'two',
  TARGET_DB_HOST: '127.0.0.1',
  TARGET_DB_NAME: 'analytics',
  TARGET_DB_USER: 'tidegate',
  TARGET_DB_PASSWORD: 'three',
};

it('is equal for equal settings and differs for different ones, except for passwords', () => {
  const hash = configHash(loadConfig(environment));
  expect(configHash(loadConfig({ ...environment }))).toBe(hash);
  expect(configHash(loadConfig({ ...environment, TARGET_DB_PASSWORD: 'another' }))).toBe(hash);
  expect(configHash(loadConfig({ ...environment, TABLES_EXCLUDE: 'temp*' }))).not.toBe(hash);
  expect(configHash(loadConfig({ ...environment, SOURCE_DB_PORT: '3307' }))).not.toBe(hash);
});
