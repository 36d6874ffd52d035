import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { TidegateError } from '../errors/tidegate-error.ts';
import type { Config, ListenConfig, TlsConfig } from './config.ts';
import { type Environment, environmentSchema, secretNames } from './environment.ts';
import { nearMisses, unknownSettings } from './near-misses.ts';
import { decodeText } from './text-file.ts';

/**
 * Reads the settings from the environment. Raises one TidegateError config that lists every problem. Each problem names its
 * variable and never its value. `inFile`: what is wrong in the .env file.
 */
export function loadConfig(environment: NodeJS.ProcessEnv, inFile: readonly string[] = []): Config {
  const problems = [...inFile, ...nearMisses(environment)];
  const { values, reported } = withSecretFiles(environment, problems);
  for (const [name, value] of Object.entries(values))
    // Neither database accepts a NUL byte, and it ends a C string early.
    if (value?.includes('\0') === true) problems.push(`${name} holds a NUL byte: remove it`);
  const authorities = readAuthorities(values, problems);
  if (
    values['SOURCE_DB_READONLY_USER'] !== undefined &&
    values['SOURCE_DB_READONLY_USER'] === values['SOURCE_DB_REPLICATION_USER']
  )
    problems.push(
      'SOURCE_DB_REPLICATION_USER is the same as SOURCE_DB_READONLY_USER: make two accounts, each with its own rights only',
    );
  const parsed = environmentSchema.safeParse(values);
  let missing = 0;
  if (!parsed.success)
    for (const issue of parsed.error.issues) {
      const name = String(issue.path[0]);
      if (reported.has(name)) continue;
      const isMissing = values[name] === undefined;
      if (isMissing) missing++;
      problems.push(`${name} ${isMissing ? `is not set: ${describe(name)}` : issue.message}`);
    }
  if (parsed.success) {
    const config = assemble(parsed.data, authorities, unknownSettings(environment), problems);
    if (problems.length === 0) return config;
  }
  throw new TidegateError(
    'config',
    `${problems.length === 1 ? 'a setting is' : `${problems.length} settings are`} wrong:\n${problems.map((problem) => `  ${problem}`).join('\n')}`,
    missing > requiredNames.length / 2 ? { hint: fromTemplate() } : {},
  );
}

function fromTemplate(): string {
  const absent = existsSync('.env') ? '' : ` There is no .env in ${process.cwd()}, where it is looked for.`;
  return `Start with the template, which explains each setting: cp .env.template .env${absent}`;
}

const requiredNames = Object.entries(environmentSchema.shape)
  .filter(([, schema]) => !schema.safeParse(undefined).success)
  .map(([name]) => name);

function describe(name: string): string {
  return environmentSchema.shape[name as keyof Environment]?.description ?? '';
}

interface Values {
  readonly values: Record<string, string | undefined>;
  /** Secrets that are missing because of their file; `problems` already includes them. */
  readonly reported: ReadonlySet<string>;
}

/** Treats an empty variable as not set, because compose files and .env templates leave variables empty. */
function withSecretFiles(environment: NodeJS.ProcessEnv, problems: string[]): Values {
  const values: Record<string, string | undefined> = {};
  const reported = new Set<string>();
  for (const name of Object.keys(environmentSchema.shape))
    if (environment[name] !== '') values[name] = environment[name];
  for (const name of secretNames) {
    const file = environment[`${name}_FILE`];
    if (file === undefined || file === '') continue;
    if (values[name] !== undefined) {
      problems.push(`${name} and ${name}_FILE are both set: keep one`);
      continue;
    }
    const bytes = read(file, `${name}_FILE`, problems);
    const text = bytes === undefined ? undefined : decodeText(bytes)?.replace(/\r?\n$/, '');
    if (text !== undefined && text !== '') {
      values[name] = text;
      continue;
    }
    reported.add(name);
    if (bytes !== undefined)
      problems.push(`${name}_FILE names a file that is ${text === '' ? 'empty' : 'not UTF-8 text: save it as UTF-8'}`);
  }
  return { values, reported };
}

type Authorities = Partial<Record<'SOURCE_DB_TLS_CA' | 'TARGET_DB_TLS_CA', string>>;

/** PEM texts of the authorities. OpenSSL ignores text that is not a certificate, so this function checks for one. */
function readAuthorities(values: Record<string, string | undefined>, problems: string[]): Authorities {
  const authorities: Authorities = {};
  for (const name of ['SOURCE_DB_TLS_CA', 'TARGET_DB_TLS_CA'] as const) {
    const file = values[name];
    const text = file === undefined ? undefined : read(file, name, problems)?.toString('utf8');
    if (text === undefined) continue;
    if (text.includes('-----BEGIN CERTIFICATE-----')) authorities[name] = text;
    else problems.push(`${name} names a file that holds no certificate in PEM form`);
  }
  return authorities;
}

function read(file: string, name: string, problems: string[]): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    problems.push(`${name} names a file that cannot be read (${(error as NodeJS.ErrnoException).code})`);
    return undefined;
  }
}

function assemble(env: Environment, authorities: Authorities, unknown: readonly string[], problems: string[]): Config {
  return {
    environment: env.ENVIRONMENT,
    source: {
      host: env.SOURCE_DB_HOST,
      port: env.SOURCE_DB_PORT,
      database: env.SOURCE_DB_NAME,
      reader: { user: env.SOURCE_DB_READONLY_USER, password: env.SOURCE_DB_READONLY_PASSWORD },
      replicator: { user: env.SOURCE_DB_REPLICATION_USER, password: env.SOURCE_DB_REPLICATION_PASSWORD },
      serverId: env.SOURCE_SERVER_ID ?? serverIdOf(env),
      tls: tls('SOURCE', env.SOURCE_DB_HOST, env.SOURCE_DB_TLS, authorities.SOURCE_DB_TLS_CA, problems),
    },
    target: {
      host: env.TARGET_DB_HOST,
      port: env.TARGET_DB_PORT,
      database: env.TARGET_DB_NAME,
      schema: env.TARGET_DB_SCHEMA,
      user: { user: env.TARGET_DB_USER, password: env.TARGET_DB_PASSWORD },
      tls: tls('TARGET', env.TARGET_DB_HOST, env.TARGET_DB_TLS, authorities.TARGET_DB_TLS_CA, problems),
    },
    tables: {
      include: env.TABLES_INCLUDE,
      exclude: env.TABLES_EXCLUDE,
      halt: env.TABLES_HALT,
      refresh: env.TABLES_REFRESH,
    },
    columnRules: env.COLUMN_RULES,
    snapshotConnections: env.SNAPSHOT_CONNECTIONS,
    snapshotWindow: env.SNAPSHOT_WINDOW ?? null,
    sourceBusyAt: env.SOURCE_BUSY_AT,
    resync: env.RESYNC,
    refreshEveryMinutes: env.REFRESH_EVERY,
    verifyEveryHours: env.VERIFY_EVERY ?? null,
    listen: listen(env, problems),
    logLevel: env.LOG_LEVEL,
    unknown,
  };
}

/**
 * Derives the server id from the settings that identify a replica. All instances of one replica announce the same id, and two
 * replicas of a source announce different ones. The id is always in the upper half of the range, because people number their
 * servers in the lower half.
 */
function serverIdOf(env: Environment): number {
  const replica = [env.TARGET_DB_HOST.toLowerCase(), env.TARGET_DB_PORT, env.TARGET_DB_NAME, env.TARGET_DB_SCHEMA];
  const upperHalf = 2 ** 31;
  return upperHalf + (createHash('sha256').update(JSON.stringify(replica)).digest().readUInt32BE() % upperHalf);
}

function listen({ LISTEN, LISTEN_TOKEN }: Environment, problems: string[]): ListenConfig | null {
  if (LISTEN === null) return null;
  if (LISTEN_TOKEN === undefined && !isLoopback(LISTEN.host))
    problems.push(
      'LISTEN is not a loopback address, and LISTEN_TOKEN is not set: set it to a long random text (openssl rand -hex 24), or listen on 127.0.0.1',
    );
  return { ...LISTEN, token: LISTEN_TOKEN ?? null };
}

function tls(
  side: 'SOURCE' | 'TARGET',
  host: string,
  asked: TlsConfig['mode'] | undefined,
  ca: string | undefined,
  problems: string[],
): TlsConfig {
  // Traffic on loopback stays on this machine. Elsewhere plain text must be requested explicitly.
  const mode = asked ?? (isLoopback(host) ? 'disable' : 'verify-full');
  // An operator who names an authority expects its protection.
  if (mode === 'disable' && ca !== undefined)
    problems.push(
      `${side}_DB_TLS_CA is set but the connection is ${asked === undefined ? 'to this machine and so ' : ''}without TLS: set ${side}_DB_TLS to verify-full or verify-ca, or remove ${side}_DB_TLS_CA`,
    );
  return { mode, ca };
}

function isLoopback(host: string): boolean {
  return host.toLowerCase() === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
