import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parse } from 'dotenv';
import { describe, expect, it } from 'vitest';
import { TidegateError } from '../errors/tidegate-error.ts';
import { environmentSchema } from './environment.ts';
import { loadConfig } from './load-config.ts';

const template = readFileSync(new URL('../../.env.template', import.meta.url), 'utf8');
/** The template with its commented-out settings enabled. */
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

  it('is valid unchanged and shows the defaults', () => {
    const config = loadConfig(minimal);
    expect(config.source).toMatchObject({ port: 3306, tls: { mode: 'verify-full' } });
    expect(config.target).toMatchObject({ port: 5432, schema: 'raw' });
    expect(loadConfig(everything)).toEqual(config);
    for (const [name, field] of Object.entries(environmentSchema.shape)) {
      const fallback = field.safeParse(undefined).data;
      // The default of a list is empty, and the template shows it so.
      if (!(name in minimal) && fallback !== undefined && !Array.isArray(fallback))
        expect([name, everything[name]]).not.toEqual([name, '']);
    }
  });

  it('quotes as it describes', () => {
    const examples = [...template.matchAll(/(?<=as )(['`]).*?\1(?=[;.])/g)].map(([example]) => example);
    expect(examples).toHaveLength(2);
    for (const example of examples)
      expect(parse(`TARGET_DB_PASSWORD=${example}`)['TARGET_DB_PASSWORD']).toBe(example.slice(1, -1));
    expect(parse("A='a#b $HOME \\n \\ \"'")['A']).toBe('a#b $HOME \\n \\ "');
    expect(parse('A=` it\'s "#1" `')['A']).toBe(' it\'s "#1" ');
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

  it('reports conflicts between settings together with the other problems', () => {
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
    ['SOURCE_DB_HOST', ['mysql://clinic', '[::1]', 'clinic:3306', '/run/mysqld.sock', 'me@clinic'], 'alone'],
    ['TARGET_DB_HOST', ['postgres://a/b', 'clinic.example ', '/var/run/postgresql'], 'alone'],
    ['SOURCE_DB_PORT', ['0', '65536', '0x1F', '1e3', '3306.5', '-1', 'port'], 'from 1 to 65535'],
    ['SOURCE_SERVER_ID', ['0', '4294967296', 'true'], 'from 1 to 4294967295'],
    ['SNAPSHOT_CONNECTIONS', ['0', '17'], 'from 1 to 16'],
    ['SOURCE_DB_NAME', ['mysql', 'Performance_Schema'], "the server's own"],
    // PostgreSQL counts bytes.
    ['TARGET_DB_SCHEMA', ['x'.repeat(55), 'é'.repeat(28)], '54 bytes'],
    ['TARGET_DB_SCHEMA', ['Tidegate', 'tidegate_raw', 'pg_catalog', 'information_schema'], 'PostgreSQL or Tidegate'],
    ['TARGET_DB_PASSWORD', ['a\0b'], 'NUL'],
    ['COLUMN_RULES', ['patient', 'a.b=omit,patient.a=bool', 'patient.a=local=Nowhere/Else'], 'entry '],
  ])('reports for %s what would be right', (name, wrong, right) => {
    for (const value of wrong) {
      const lines = problemsOf({ ...minimal, [name]: value })
        .split('\n')
        .slice(1);
      expect(lines).toHaveLength(1);
      expect(lines[0]).toMatch(new RegExp(`^  ${name} `));
      expect(lines[0]).toContain(right);
    }
  });

  it.each([
    ['TABLES_EXLUDE', 'TABLES_EXCLUDE'],
    ['TABLES_EXCLUDES', 'TABLES_EXCLUDE'],
    ['TABLE_EXLUDE', 'TABLES_EXCLUDE'],
    ['COLUMN_RULE', 'COLUMN_RULES'],
    ['SOURCE_DB_HOTS', 'SOURCE_DB_HOST'],
    ['LOGLEVEL', 'LOG_LEVEL'],
    ['LISTNE', 'LISTEN'],
    ['tables_exclude', 'TABLES_EXCLUDE'],
    ['LISTEN_TOKEN_FIEL', 'LISTEN_TOKEN_FILE'],
    ['TARGET_DB_PASWORD_FILE', 'TARGET_DB_PASSWORD_FILE'],
  ])('refuses %s, which is spelled nearly like %s', (name, meant) => {
    const lines = problemsOf({ ...minimal, [name]: 'canary', LOG_LEVEL: 'loud' }).split('\n');
    expect(lines.slice(1)).toEqual([
      `  ${name} is not a setting; is ${meant} meant?`,
      expect.stringContaining('LOG_LEVEL must be'),
    ]);
  });

  it.each([
    ...[
      'LISTEN_FDS',
      'LISTEN_PID',
      'LISTEN_FDNAMES',
      'LISTENER',
      'NODE_ENV',
      'ENV',
      'HOSTNAME',
      'TZ',
      'LANG',
      'LANGUAGE',
    ],
    ...['TARGET_PORT', 'SOURCE_PORT', 'DB_HOST', 'TARGET', 'SOURCE_DATE_EPOCH', 'TERM', 'PATH', 'EDITOR', 'VERBOSE'],
    ...['npm_config_loglevel', 'http_proxy', 'LS_COLORS', 'LESSOPEN', 'INVOCATION_ID', 'CREDENTIALS_DIRECTORY'],
    ...['TARGET_DB_SERVICE_HOST', 'MYSQL_DATABASE', 'POSTGRES_DB', 'TIDEGATE_PORT', 'SYSTEMD_EXEC_PID'],
  ])('accepts %s as a variable of another program', (name) => {
    expect(problemsOf({ ...minimal, [name]: 'x' })).toBe('');
  });

  it.each([
    ['SOURCE_DB_PASSWORD', ['SOURCE_DB_READONLY_PASSWORD or SOURCE_DB_REPLICATION_PASSWORD meant?']],
    ['SOURCE_PORT', ['SOURCE_DB_PORT meant?']],
    ['TARGET_DB_SSLMODE', []],
    ['TABLES_SKIP', ['TABLES_INCLUDE or TABLES_EXCLUDE or TABLES_HALT or TABLES_REFRESH meant?']],
    ['SOURCE_DATE_EPOCH', null],
    ['SOURCES', null],
  ])('names %s, which looks like a setting and is none', (name, meant) => {
    expect(loadConfig({ ...minimal, [name]: 'canary' }).unknown).toEqual(
      meant === null ? [] : [[`${name} is not a setting`, ...meant].join('; is ')],
    );
  });

  it('reports what is wrong in the .env file together with the other problems', () => {
    const load = () => loadConfig({ ...minimal, LOG_LEVEL: 'loud' }, ['/etc/.env: line 3 is not NAME=value']);
    expect(load).toThrow(/^2 settings are wrong:\n {2}\/etc\/.env: line 3 is not NAME=value\n {2}LOG_LEVEL must be/);
  });

  it('mistakes no variable of this machine for a mistyped setting', () => {
    expect(problemsOf({ ...process.env, ...minimal })).toBe('');
  });

  it('announces another server id for another target, and the same one for the same', () => {
    const idOf = (change: NodeJS.ProcessEnv) => loadConfig({ ...minimal, ...change }).source.serverId;
    const ids = [
      {},
      { TARGET_DB_HOST: 'other.example' },
      { TARGET_DB_PORT: '5433' },
      { TARGET_DB_NAME: 'other' },
      { TARGET_DB_SCHEMA: 'other' },
    ].map(idOf);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) {
      expect(id).toBeGreaterThanOrEqual(2 ** 31);
      expect(id).toBeLessThan(2 ** 32);
    }
    // A standby, the same version on another machine and a later version must all compute this number.
    expect(ids[0]).toBe(2_679_055_272);
    expect(idOf({ TARGET_DB_HOST: minimal['TARGET_DB_HOST']?.toUpperCase(), TARGET_DB_PASSWORD: 'x' })).toBe(ids[0]);
    expect(idOf({ SOURCE_SERVER_ID: '7' })).toBe(7);
  });

  it('never prints a value', () => {
    const canary = 'canary';
    const broken = Object.fromEntries(Object.keys(environmentSchema.shape).map((name) => [name, `${canary}\u0000`]));
    expect(problemsOf({ ...broken, SOURCE_DB_READONLY_PASSWORD_FILE: canary })).not.toContain(canary);
  });

  it('requires two accounts at the source', () => {
    expect(problemsOf({ ...minimal, SOURCE_DB_REPLICATION_USER: minimal['SOURCE_DB_READONLY_USER'] })).toContain(
      'two accounts',
    );
  });

  it('allows plain text by default on loopback only', () => {
    expect(loadConfig({ ...minimal, SOURCE_DB_HOST: '127.0.0.1' }).source.tls.mode).toBe('disable');
    expect(loadConfig({ ...minimal, SOURCE_DB_HOST: '127.0.0.1.example' }).source.tls.mode).toBe('verify-full');
    expect(loadConfig({ ...minimal, SOURCE_DB_TLS: 'disable' }).source.tls.mode).toBe('disable');
  });

  it('refuses an authority when TLS is off', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'tidegate-config-')), 'ca.pem');
    writeFileSync(file, '-----BEGIN CERTIFICATE-----\n');
    const local = { ...minimal, TARGET_DB_HOST: 'localhost', TARGET_DB_TLS_CA: file };
    expect(problemsOf(local)).toMatch(/^ {2}TARGET_DB_TLS_CA .* TARGET_DB_TLS to verify-full/m);
    expect(loadConfig({ ...local, TARGET_DB_TLS: 'verify-full' }).target.tls.mode).toBe('verify-full');
    rmSync(dirname(file), { recursive: true });
  });

  it('requires a certificate in the file of authorities', () => {
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
    // As Windows editors write it.
    writeFileSync(file, '\uFEFFfrom a file\r\n');
    expect(loadConfig({ ...rest, TARGET_DB_PASSWORD_FILE: file }).target.user.password).toBe('from a file');
    expect(problemsOf({ ...minimal, TARGET_DB_PASSWORD_FILE: file })).toContain('TARGET_DB_PASSWORD_FILE');
    rmSync(folder, { recursive: true });
  });

  it.each([
    ['UTF-16 as Windows PowerShell writes it', Buffer.from('\uFEFFcanary\r\n', 'utf16le')],
    ['UTF-16 without a mark', Buffer.from('canary\r\n', 'utf16le')],
    ['Latin-1', Buffer.from('canaré\n', 'latin1')],
  ])('refuses a password file in %s', (_, bytes) => {
    const folder = mkdtempSync(join(tmpdir(), 'tidegate-config-'));
    const file = join(folder, 'password');
    writeFileSync(file, bytes);
    const { TARGET_DB_PASSWORD: _password, ...rest } = minimal;
    expect(
      problemsOf({ ...rest, TARGET_DB_PASSWORD_FILE: file })
        .split('\n')
        .slice(1),
    ).toEqual(['  TARGET_DB_PASSWORD_FILE names a file that is not UTF-8 text: save it as UTF-8']);
    rmSync(folder, { recursive: true });
  });

  it.each(['', '/nowhere/password'])(
    'reports a password file without a password once, with the reason (%j)',
    (path) => {
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
    },
  );
});
