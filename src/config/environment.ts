import { isIP } from 'node:net';
import { z } from 'zod';
import { parseWindow } from './snapshot-window.ts';
import { parseColumnRules } from './column-rules.ts';

/** Digits only: Number() would also accept 0x1F, 1e3 and blanks. */
const wholeNumber = (lowest: number, highest: number) => {
  const complaint = `must be a whole number from ${lowest} to ${highest}`;
  return z
    .string()
    .regex(/^\d+$/, complaint)
    .transform(Number)
    .refine((number) => number >= lowest && number <= highest, complaint);
};
const port = (fallback: number) => wholeNumber(1, 65_535).default(fallback);
const name = z.string().min(1, 'must not be empty');
/** A URL, a port behind the name or brackets would be looked up as a name, in vain. */
const host = name.refine(
  (text) => isIP(text) !== 0 || !/[:/[\]@\s]/.test(text),
  'must be a host name or an address alone, without scheme, user, port, brackets or path',
);
const tlsMode = z.enum(['verify-full', 'verify-ca', 'disable'], 'must be verify-full, verify-ca or disable').optional();
const secret = z.string().min(1, 'must not be empty');
const list = z
  .string()
  .default('')
  .transform((text) =>
    text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  );
/** Reports each wrong entry as its own problem, by its number. The text of an entry is not repeated. */
const columnRules = z
  .string()
  .default('')
  .transform((text, context) => {
    const { rules, problems } = parseColumnRules(text);
    for (const message of problems) context.addIssue({ code: 'custom', message });
    return problems.length === 0 ? rules : z.NEVER;
  });
const reservedSchemas = /^(tidegate|tidegate_.*|information_schema|pg_.*)$/i;
/** PostgreSQL truncates names to 63 bytes (NAMEDATALEN). The control schema has the same name after `tidegate_`. */
const longestNameBytes = 54;
const systemDatabases = /^(mysql|information_schema|performance_schema|sys)$/i;

/**
 * All settings. This schema parses the environment and describes each variable (`.describe`). A test compares .env.template with
 * it. A secret named X may come from a file instead; X_FILE names the file.
 */
export const environmentSchema = z.object({
  ENVIRONMENT: z
    .enum(['development', 'production'], 'must be development or production')
    .default('development')
    .describe('production: destructive commands ask for a typed confirmation'),
  SOURCE_DB_HOST: host.describe('MySQL or MariaDB server to copy from'),
  SOURCE_DB_PORT: port(3306).describe('its port'),
  SOURCE_DB_NAME: name
    .refine((database) => !systemDatabases.test(database), "must not be one of the server's own databases")
    .describe('database to copy'),
  SOURCE_DB_READONLY_USER: name.describe('account with SELECT on that database and nothing else'),
  SOURCE_DB_READONLY_PASSWORD: secret.describe('its password'),
  SOURCE_DB_REPLICATION_USER: name.describe(
    'account with REPLICATION SLAVE and REPLICATION CLIENT (BINLOG MONITOR) and nothing else',
  ),
  SOURCE_DB_REPLICATION_PASSWORD: secret.describe('its password'),
  SOURCE_SERVER_ID: wholeNumber(1, 4_294_967_295)
    .optional()
    .describe(
      'replica id to announce; unique among all replicas and tools that read this source; not set: a number derived from TARGET_DB_HOST, TARGET_DB_PORT, TARGET_DB_NAME and TARGET_DB_SCHEMA',
    ),
  SOURCE_DB_TLS: tlsMode.describe(
    'verify-full (default except on loopback), verify-ca, or disable, which must be set explicitly',
  ),
  SOURCE_DB_TLS_CA: z.string().optional().describe('PEM file of the authority that signed the source certificate'),
  TARGET_DB_HOST: host.describe('PostgreSQL server to copy to'),
  TARGET_DB_PORT: port(5432).describe('its port'),
  TARGET_DB_NAME: name.describe('database there'),
  TARGET_DB_USER: name.describe('role that may create schemas in that database'),
  TARGET_DB_PASSWORD: secret.describe('its password'),
  TARGET_DB_SCHEMA: name
    .refine(
      (schema) => Buffer.byteLength(schema) <= longestNameBytes,
      `must be no longer than ${longestNameBytes} bytes`,
    )
    .refine((schema) => !reservedSchemas.test(schema), 'must not be a schema of PostgreSQL or Tidegate itself')
    .default('raw')
    .describe('schema the tables are copied into; one per source'),
  TARGET_DB_TLS: tlsMode.describe('as SOURCE_DB_TLS'),
  TARGET_DB_TLS_CA: z.string().optional().describe('PEM file of the authority that signed the target certificate'),
  TABLES_INCLUDE: list.describe('tables to copy: names with * and ?, separated by commas; empty: all'),
  TABLES_EXCLUDE: list.describe('tables to leave out, the same way; wins over TABLES_INCLUDE'),
  TABLES_HALT: list.describe(
    'tables, the same way, in which a row that cannot be replicated stops everything; in others it becomes a dead letter',
  ),
  COLUMN_RULES: columnRules.describe('how to map columns: table.column=rule, separated by commas'),
  SNAPSHOT_WINDOW: z
    .string()
    .transform((text, context) => {
      const window = parseWindow(text);
      if (window !== null) return window;
      context.addIssue(
        'must be two times of day, as in 21:00-06:00, and may name a time zone, as in 21:00-06:00 America/Chicago',
      );
      return z.NEVER;
    })
    .optional()
    .describe(
      'hours in which snapshots, backfills and verifications may read, as in 21:00-06:00; a time zone may follow; not set: always',
    ),
  SNAPSHOT_CONNECTIONS: wholeNumber(1, 16).default(2).describe('tables read at the same time during a snapshot'),
  SOURCE_BUSY_AT: wholeNumber(1, 100_000)
    .default(24)
    .describe(
      'number of statements at work at the source, without our own, at which snapshots, backfills and verifications wait',
    ),
  RESYNC: z
    .enum(['ask', 'auto'])
    .default('ask')
    .describe(
      'what to do when the same server cannot continue what was applied: wait for `tidegate resync` (ask), or do it alone (auto)',
    ),
  TABLES_REFRESH: list.describe(
    'tables without a key, the same way, that cannot be streamed and get a full refresh every REFRESH_EVERY instead',
  ),
  REFRESH_EVERY: z
    .string()
    .regex(/^[1-9]\d{0,3}[mhd]$/, 'must be a number of minutes, hours or days, as in 10m, 1h or 1d')
    .default('1h')
    .transform((text) => Number(text.slice(0, -1)) * (text.endsWith('d') ? 1440 : text.endsWith('h') ? 60 : 1))
    .describe('how often the tables of TABLES_REFRESH get a full refresh, as in 10m, 1h or 1d'),
  VERIFY_EVERY: z
    .string()
    .regex(/^[1-9]\d{0,3}[hd]$/, 'must be a number of hours or days, as in 24h or 7d')
    .transform((text) => Number(text.slice(0, -1)) * (text.endsWith('d') ? 24 : 1))
    .optional()
    .describe(
      'how often to compare every table with the source, as in 24h or 7d, spread over that time; not set: never',
    ),
  LISTEN: z
    .string()
    .default('127.0.0.1:8787')
    .transform((text, context) => {
      if (text === 'off') return null;
      const [, host, port] = /^(\[[0-9a-f:.]+\]|[0-9a-z.-]+):(\d{1,5})$/i.exec(text) ?? [];
      if (host !== undefined && Number(port) <= 65_535)
        return { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
      context.addIssue('must be an address and a port, as in 127.0.0.1:8787 or [::1]:8787, or off');
      return z.NEVER;
    })
    .describe(
      'address and port where `run` serves the status page and metrics, or off; an address other than loopback requires LISTEN_TOKEN',
    ),
  LISTEN_TOKEN: z
    .string()
    .min(16, 'must be 16 characters or more')
    .optional()
    .describe('what a client must then send: a bearer token, or the password of any user name'),
  LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal'], 'must be trace, debug, info, warn, error or fatal')
    .default('info')
    .describe('least severe log line to write'),
});

export type Environment = z.output<typeof environmentSchema>;

/** Settings whose value may come from a file. The same variable with the suffix _FILE names the file. */
export const secretNames = [
  'SOURCE_DB_READONLY_PASSWORD',
  'SOURCE_DB_REPLICATION_PASSWORD',
  'TARGET_DB_PASSWORD',
  'LISTEN_TOKEN',
] as const;
