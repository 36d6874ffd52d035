import { sql } from 'kysely';
import type { Finding } from '../../change/finding.ts';
import { type ErrorKind, errorKinds } from '../../errors/error-kinds.ts';
import { controlSchemaName, sharedSchemaName } from '../control/control-schema.ts';
import { assertNotNewer, hasControlTable, isOfVersion01 } from '../control/migrate.ts';
import { quoteIdentifier } from '../rows/tables.ts';
import type { Target, TargetSession } from '../session.ts';

const subject = 'target';
const oldestVersion = 130_000;

interface TargetFacts {
  readonly version: number;
  readonly printed: string;
  readonly role: string;
  readonly encoding: string;
  readonly readOnly: boolean;
  readonly createsSchemas: boolean;
}

/** Checks the version, rights, control schema and foreign tables of the target. Changes nothing. */
export async function checkTarget(
  session: TargetSession,
  schemaName: string,
  database: string,
  tables: readonly string[],
): Promise<Finding[]> {
  const { db } = session;
  const findings: Finding[] = [];
  const wrong = (message: string, remedy: string) => findings.push({ level: 'error', subject, message, remedy });
  const { rows } = await sql<TargetFacts>`
    select current_setting('server_version_num')::int as version, current_setting('server_version') as printed,
           current_user as role, current_setting('server_encoding') as encoding,
           current_setting('transaction_read_only') = 'on' as "readOnly",
           has_database_privilege(current_database(), 'create') as "createsSchemas"`.execute(db);
  const [facts] = rows;
  if (facts === undefined) return findings;
  if (facts.version < oldestVersion)
    wrong(`PostgreSQL ${facts.printed} is older than 13`, 'upgrade the target to PostgreSQL 13 or later');
  if (facts.encoding !== 'UTF8')
    wrong(
      `database ${database} has encoding ${facts.encoding}, which cannot hold every character`,
      `create database ${quoteIdentifier(database)} encoding 'UTF8' template template0; on a server where that name is free, or set TARGET_DB_NAME to another name`,
    );
  if (facts.readOnly)
    wrong(
      'the target is read-only',
      'set TARGET_DB_HOST to the primary, not a standby, and turn default_transaction_read_only off there',
    );
  for (const name of [sharedSchemaName, controlSchemaName(schemaName), schemaName]) {
    const missing = await missingRight(session, name, database, facts);
    if (missing !== null && !findings.some(({ remedy }) => remedy === missing.remedy)) findings.push(missing);
  }
  // Both checks need rights in these schemas.
  if (findings.every(({ level }) => level !== 'error')) {
    await assertNotNewer(session);
    const foreign = await foreignTables(session, schemaName, tables);
    if (foreign.length > 0)
      findings.push({
        level: 'error',
        subject,
        kind: 'target-foreign' satisfies ErrorKind,
        message: `schema ${schemaName} holds tables of the same names that Tidegate did not make: ${foreign.slice(0, 10).join(', ')}${foreign.length > 10 ? ` and ${foreign.length - 10} more` : ''}`,
        remedy: errorKinds['target-foreign'].hint,
      });
  }
  if (findings.length === 0)
    findings.push({ level: 'ok', subject, message: `PostgreSQL ${facts.printed}, schema ${schemaName}` });
  return findings;
}

/** Null if the role may create the schema, or may create tables in the existing schema. */
async function missingRight(
  { db }: TargetSession,
  name: string,
  database: string,
  { role, createsSchemas }: TargetFacts,
): Promise<Finding | null> {
  const { rows } = await sql<{ mayUse: boolean }>`
    select has_schema_privilege(oid, 'usage') and has_schema_privilege(oid, 'create') as "mayUse"
      from pg_namespace where nspname = ${name}`.execute(db);
  const [schema] = rows;
  if (schema === undefined ? createsSchemas : schema.mayUse) return null;
  const quoted = quoteIdentifier(role);
  return schema === undefined
    ? {
        level: 'error',
        subject,
        message: `role ${role} may not create schemas in database ${database}`,
        remedy: `grant create on database ${quoteIdentifier(database)} to ${quoted};`,
      }
    : {
        level: 'error',
        subject,
        message: `role ${role} may not create tables in schema ${name}, which already exists`,
        remedy: `grant usage, create on schema ${quoteIdentifier(name)} to ${quoted};`,
      };
}

/** Views, indexes and sequences share one namespace with tables, so they conflict as well. */
async function foreignTables({ db }: TargetSession, schemaName: string, tables: readonly string[]): Promise<string[]> {
  const { rows: present } = await sql<{ name: string }>`
    select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = ${schemaName} and c.relname = any(${[...tables]}::text[]) order by 1`.execute(db);
  if (present.length === 0) return [];
  const known = await knownTables(db, schemaName);
  return present.map(({ name }) => name).filter((name) => !known.has(name));
}

/** The tables that Tidegate created, as this version or version 0.1 recorded them. */
async function knownTables(db: Target, schemaName: string): Promise<ReadonlySet<string>> {
  if (await isOfVersion01(db)) {
    const { rows } = await sql<{ name: string }>`
      select table_name as name from tidegate.tables where replica = ${schemaName}`.execute(db);
    return new Set(rows.map(({ name }) => name));
  }
  if (!(await hasControlTable(db, 'tables'))) return new Set();
  const tables = await db.selectFrom('tables').select('table_name').execute();
  return new Set(tables.map(({ table_name }) => table_name));
}
