import { sql } from 'kysely';
import type { Finding } from '../../errors/finding.ts';
import { type ErrorKind, errorKinds } from '../../errors/error-kinds.ts';
import { sqlStateOf } from '../../errors/postgres-errors.ts';
import { controlSchemaName, sharedSchemaName } from '../control/control-schema.ts';
import { assertNotNewer, hasControlTable, isOfVersion01 } from '../control/migrate.ts';
import { readStandings } from '../rows/standing.ts';
import { quoteIdentifier } from '../rows/tables.ts';
import type { Reading, TargetSession } from '../session.ts';

const subject = 'target';
/** SQLSTATE undefined_table. */
const undefinedTable = '42P01';
const oldestVersion = 130_000;

interface TargetFacts {
  readonly version: number;
  readonly printed: string;
  readonly role: string;
  readonly encoding: string;
  readonly createsSchemas: boolean;
  readonly isStandby: boolean;
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
           has_database_privilege(current_database(), 'create') as "createsSchemas",
           pg_is_in_recovery() as "isStandby"`.execute(db);
  const [facts] = rows;
  if (facts === undefined) return findings;
  if (facts.version < oldestVersion)
    wrong(`PostgreSQL ${facts.printed} is older than 13`, 'upgrade the target to PostgreSQL 13 or later');
  if (facts.encoding !== 'UTF8')
    wrong(
      `database ${database} has encoding ${facts.encoding}, which cannot hold every character`,
      `create database ${quoteIdentifier(database)} encoding 'UTF8' template template0; on a server where that name is free, or set TARGET_DB_NAME to another name`,
    );
  if (session.isServerReadOnly)
    wrong(
      'the target is read-only',
      facts.isStandby
        ? 'it is a standby: set TARGET_DB_HOST to the primary'
        : // Nothing else that sets it has precedence over this, and this concerns nobody else.
          `default_transaction_read_only is on there; let the role write: alter role ${quoteIdentifier(facts.role)} in database ${quoteIdentifier(database)} set default_transaction_read_only = off;`,
    );
  for (const name of [sharedSchemaName, controlSchemaName(schemaName), schemaName]) {
    const missing = await missingRight(session, name, database, facts);
    if (missing !== null && !findings.some(({ remedy }) => remedy === missing.remedy)) findings.push(missing);
  }
  // Both checks need rights in these schemas.
  if (findings.every(({ level }) => level !== 'error')) {
    await assertNotNewer(session);
    const look = async () => await inTheWay(session, schemaName, tables);
    findings.push(
      ...(await look().catch(async (error: unknown) => {
        if (sqlStateOf(error) !== undefinedTable) throw error;
        // Another replica has moved the state of version 0.1 in this moment.
        return await look();
      })),
    );
  }
  if (findings.every(({ level }) => level !== 'error'))
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

/**
 * Objects of somebody else under the names of tables, and tables that the role cannot write. Such tables are suspended and the others are
 * replicated. If every name is taken, the schema is probably the wrong one, or was restored from a dump: that is an error.
 */
async function inTheWay(session: TargetSession, schemaName: string, tables: readonly string[]): Promise<Finding[]> {
  const { db } = session;
  const kind = 'target-foreign' satisfies ErrorKind;
  const blocked = (await recordsOids(db))
    ? [...(await readStandings(db, schemaName, tables))].flatMap(([table, standing]) =>
        'what' in standing ? [{ table, ...standing }] : [],
      )
    : (await foreignTables(session, schemaName, tables)).map((table) => ({
        ...{ table, kind: 'foreign' as const },
        what: `schema ${schemaName} of the target holds an object of that name that Tidegate did not make`,
      }));
  const foreign = blocked.filter((found) => found.kind === 'foreign').map(({ table }) => table);
  if (tables.length > 0 && foreign.length === tables.length)
    return [
      {
        ...{ level: 'error', subject, kind },
        message: `schema ${schemaName} holds objects of the same names that Tidegate did not make: ${foreign.toSorted().slice(0, 10).join(', ')}${foreign.length > 10 ? ` and ${foreign.length - 10} more` : ''}`,
        remedy: errorKinds[kind].hint,
      },
    ];
  return blocked.map((found): Finding => ({
    level: 'warning',
    subject: `table ${found.table}`,
    kind: found.kind === 'foreign' ? kind : 'target-privilege',
    message: `it is left out until this is resolved: ${found.what}`,
    remedy:
      found.kind === 'foreign'
        ? 'rename or drop that object; or, after a restore of the target from a dump, run tidegate adopt; the table then returns by itself'
        : 'make the target role the owner of the table, or grant it the rights; the table then returns by itself',
  }));
}

/** Whether the control schema has the OIDs of the tables. `check` does not migrate it. */
async function recordsOids(db: Reading): Promise<boolean> {
  const { sql: name } = sql`${sql.table('tables')}`.compile(db);
  const { rows } = await sql`
    select from pg_attribute where attrelid = to_regclass(${name}) and attname = 'table_oid'`.execute(db);
  return rows.length > 0;
}

/**
 * The names that an object has which an earlier version did not record. Views, indexes and sequences share one namespace with tables, so
 * they conflict as well.
 */
async function foreignTables({ db }: TargetSession, schemaName: string, tables: readonly string[]): Promise<string[]> {
  const { rows: present } = await sql<{ name: string }>`
    select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = ${schemaName} and c.relname = any(${[...tables]}::text[]) order by 1`.execute(db);
  if (present.length === 0) return [];
  const known = await knownTables(db, schemaName);
  return present.map(({ name }) => name).filter((name) => !known.has(name));
}

/** The tables that Tidegate created, as this version or version 0.1 recorded them. */
async function knownTables(db: Reading, schemaName: string): Promise<ReadonlySet<string>> {
  if (await isOfVersion01(db)) {
    const { rows } = await sql<{ name: string }>`
      select table_name as name from tidegate.tables where replica = ${schemaName}`.execute(db);
    return new Set(rows.map(({ name }) => name));
  }
  if (!(await hasControlTable(db, 'tables'))) return new Set();
  const tables = await db.selectFrom('tables').select('table_name').execute();
  return new Set(tables.map(({ table_name }) => table_name));
}
