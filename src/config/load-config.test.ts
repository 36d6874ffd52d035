import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parse } from 'dotenv';
import { describe, expect, it } from 'vitest';
import { TidegateError } from '../errors/tidegate-error.ts';
import { environmentSchema } from './environment.ts';
import { loadConfig } from './load-config.ts';

const template = readFileSync(new URL('../../.env.template', import.meta.url), 'utf8');
/** The template with every setting that it leaves commented out. */
const everything = parse(template.replaceAll(/^#([A-Z_]+=)/gm, '$1'));
const minimal = parse(template);

const problemsOf = (environment: NodeJS.ProcessEnv): string => {
  try {
    loadConfig(environment);
  } catch (error) {
    expect(error).toBeInstanceOf(TidegateError);
    return (error as TidegateError).message;
  }
  return '';
};

describe('.env.template', () => {
  it('has every setting of the schema and no other', () => {
    expect(Object.keys(everything).toSorted()).toEqual(Object.keys(environmentSchema.shape).toSorted());
  });

  it('is valid as it stands, and shows the defaults', () => {
    const config = loadConfig(minimal);
    expect(config.source).toMatchObject({ port: 3306, serverId: 84_330_001, tls: { mode: 'verify-full' } });
    expect(config.target).toMatchObject({ port: 5432, schema: 'raw' });
    for (const [name, field] of Object.entries(environmentSchema.shape)) {
      const shown = everything[name] ?? '';
      const isDefault =
        !(name in minimal) && !name.endsWith('_TLS') && !name.endsWith('_CA') && name !== 'TABLES_EXCLUDE';
      // An empty setting is one that is not set.
      const given = shown === '' ? undefined : shown;
      if (isDefault) expect([name, field.parse(given)]).toEqual([name, field.parse(undefined)]);
    }
  });
});

describe('loadConfig', () => {
  it('reports every problem at once, each by its name', () => {
    const problems = problemsOf({
      ...minimal,
      SOURCE_DB_HOST: '',
      SOURCE_DB_PORT: '99999',
      LOG_LEVEL: 'loud',
      TARGET_DB_SCHEMA: 'tidegate',
    });
    for (const name of ['SOURCE_DB_HOST', 'SOURCE_DB_PORT', 'LOG_LEVEL', 'TARGET_DB_SCHEMA'])
      expect(problems).toContain(name);
  });

  it('reports what only shows between settings along with the rest', () => {
    const problems = problemsOf({
      ...minimal,
      SOURCE_DB_REPLICATION_USER: minimal['SOURCE_DB_READONLY_USER'],
      TARGET_DB_TLS_CA: '/nowhere/ca.pem',
      LOG_LEVEL: 'loud',
    });
    for (const name of ['SOURCE_DB_REPLICATION_USER', 'TARGET_DB_TLS_CA', 'LOG_LEVEL'])
      expect(problems).toContain(name);
  });

  it.each([
    ['SOURCE_DB_PORT', ['0', '65536', '0x1F', '1e3', '3306.5', '-1', 'port'], 'from 1 to 65535'],
    ['SOURCE_SERVER_ID', ['0', '4294967296', 'true'], 'from 1 to 4294967295'],
    ['SNAPSHOT_CONNECTIONS', ['0', '17'], 'from 1 to 16'],
    ['SOURCE_DB_NAME', ['mysql', 'Performance_Schema'], "the server's own"],
    // PostgreSQL counts bytes.
    ['TARGET_DB_SCHEMA', ['x'.repeat(64), 'é'.repeat(32)], '63 bytes'],
    ['TARGET_DB_SCHEMA', ['Tidegate', 'pg_catalog', 'information_schema'], 'PostgreSQL or Tidegate'],
    ['TARGET_DB_PASSWORD', ['a\0b'], 'NUL'],
    ['COLUMN_RULES', ['patient', 'a.b=omit,patient.a=bool', 'patient.a=local=Nowhere/Else'], 'entry '],
  ])('says of %s what would be right', (name, wrong, right) => {
    for (const value of wrong) {
      const lines = problemsOf({ ...minimal, [name]: value })
        .split('\n')
        .slice(1);
      expect(lines).toHaveLength(1);
      expect(lines[0]).toMatch(new RegExp(`^  ${name} `));
      expect(lines[0]).toContain(right);
    }
  });

  it('never prints a value', () => {
    const canary = 'canary';
    const broken = Object.fromEntries(Object.keys(environmentSchema.shape).map((name) => [name, `${canary}\u0000`]));
    expect(problemsOf({ ...broken, SOURCE_DB_READONLY_PASSWORD_FILE: canary })).not.toContain(canary);
  });

  it('demands two accounts at the source', () => {
    expect(problemsOf({ ...minimal, SOURCE_DB_REPLICATION_USER: minimal['SOURCE_DB_READONLY_USER'] })).toContain(
      'two accounts',
    );
  });

  it('takes plain text for granted on loopback only', () => {
    expect(loadConfig({ ...minimal, SOURCE_DB_HOST: '127.0.0.1' }).source.tls.mode).toBe('disable');
    expect(loadConfig({ ...minimal, SOURCE_DB_HOST: '127.0.0.1.example' }).source.tls.mode).toBe('verify-full');
    expect(loadConfig({ ...minimal, SOURCE_DB_TLS: 'disable' }).source.tls.mode).toBe('disable');
  });

  it('does not pass over an authority whose protection was not asked for', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'tidegate-config-')), 'ca.pem');
    writeFileSync(file, '-----BEGIN CERTIFICATE-----\n');
    const local = { ...minimal, TARGET_DB_HOST: 'localhost', TARGET_DB_TLS_CA: file };
    expect(problemsOf(local)).toMatch(/^ {2}TARGET_DB_TLS_CA .* TARGET_DB_TLS to verify-full/m);
    expect(loadConfig({ ...local, TARGET_DB_TLS: 'verify-full' }).target.tls.mode).toBe('verify-full');
    rmSync(dirname(file), { recursive: true });
  });

  it('wants a certificate in the file of authorities', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'tidegate-config-')), 'ca.pem');
    writeFileSync(file, 'canary');
    expect(problemsOf({ ...minimal, SOURCE_DB_TLS_CA: file })).toMatch(/^ {2}SOURCE_DB_TLS_CA .* no certificate/m);
    writeFileSync(file, '-----BEGIN CERTIFICATE-----\n');
    expect(loadConfig({ ...minimal, SOURCE_DB_TLS_CA: file }).source.tls.ca).toContain('BEGIN CERTIFICATE');
    rmSync(dirname(file), { recursive: true });
  });

  it('reads a password from a file, without the line end, and refuses two sources for one', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tidegate-config-'));
    const file = join(folder, 'password');
    writeFileSync(file, 'from a file\n');
    const { TARGET_DB_PASSWORD: _, ...rest } = minimal;
    expect(loadConfig({ ...rest, TARGET_DB_PASSWORD_FILE: file }).target.user.password).toBe('from a file');
    expect(problemsOf({ ...minimal, TARGET_DB_PASSWORD_FILE: file })).toContain('TARGET_DB_PASSWORD_FILE');
    rmSync(folder, { recursive: true });
  });

  it.each(['', '/nowhere/password'])('reports a password file that gives none once, as what it is (%j)', (path) => {
    const folder = mkdtempSync(join(tmpdir(), 'tidegate-config-'));
    const file = path || join(folder, 'password');
    if (path === '') writeFileSync(file, '\n');
    const { TARGET_DB_PASSWORD: _, ...rest } = minimal;
    const lines = problemsOf({ ...rest, TARGET_DB_PASSWORD_FILE: file })
      .split('\n')
      .slice(1);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^ {2}TARGET_DB_PASSWORD_FILE names a file that /);
    rmSync(folder, { recursive: true });
  });
});
