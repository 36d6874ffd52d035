import { sql } from 'kysely';
import type { Finding } from '../change/finding.ts';
import { assertNotNewer } from './migrate.ts';
import { quoteIdentifier } from './tables.ts';
import type { TargetSession } from './session.ts';

const subject = 'target';
const oldestVersion = 130_000;

/** Looks, and changes nothing: version, rights, whose control schema it is, and tables that are somebody else's. */
export async function checkTarget(
  session: TargetSession,
  schemaName: string,
  database: string,
  tables: readonly string[],
): Promise<Finding[]> {
  const { db } = session;
  const findings: Finding[] = [];
  const { rows } = await sql<{
    version: number;
    printed: string;
    creates: boolean;
    role: string;
    control: boolean;
    target: boolean;
  }>`
    select current_setting('server_version_num')::int as version, current_setting('server_version') as printed, current_user as role,
           has_database_privilege(current_database(), 'create') as creates,
           coalesce(has_schema_privilege(to_regnamespace('tidegate')::oid, 'create'), false) as control,
           coalesce(has_schema_privilege(to_regnamespace(${quoteIdentifier(schemaName)})::oid, 'create'), false) as target`.execute(
    db,
  );
  const [facts] = rows;
  if (facts === undefined) return findings;
  if (facts.version < oldestVersion)
    findings.push({
      level: 'error',
      subject,
      message: `PostgreSQL ${facts.printed} is older than 13`,
      remedy: 'upgrade the target to PostgreSQL 13 or later',
    });
  if (!facts.creates && !(facts.control && facts.target))
    findings.push({
      level: 'error',
      subject,
      message: `role ${facts.role} may not create schemas in this database`,
      remedy: `grant create on database ${quoteIdentifier(database)} to ${quoteIdentifier(facts.role)};`,
    });
  await assertNotNewer(db);
  const foreign = await foreignTables(session, schemaName, tables);
  if (foreign.length > 0)
    findings.push({
      level: 'error',
      subject,
      message: `schema ${schemaName} holds tables of the same names that Tidegate did not make: ${foreign.slice(0, 10).join(', ')}${foreign.length > 10 ? ` and ${foreign.length - 10} more` : ''}`,
      remedy: 'set TARGET_DB_SCHEMA to a schema of its own, or move those tables away',
    });
  if (findings.length === 0)
    findings.push({ level: 'ok', subject, message: `PostgreSQL ${facts.printed}, schema ${schemaName}` });
  return findings;
}

async function foreignTables({ db }: TargetSession, schemaName: string, tables: readonly string[]): Promise<string[]> {
  const { rows: present } = await sql<{ name: string }>`
    select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = ${schemaName} and c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relname = any(${[...tables]}::text[]) order by 1`.execute(
    db,
  );
  if (present.length === 0) return [];
  const { rows: control } = await sql<{
    found: boolean;
  }>`select to_regclass('tidegate.tables') is not null as found`.execute(db);
  if (control[0]?.found !== true) return present.map(({ name }) => name);
  const ours = await db.selectFrom('tidegate.tables').select('table_name').where('replica', '=', schemaName).execute();
  const known = new Set(ours.map(({ table_name }) => table_name));
  return present.map(({ name }) => name).filter((name) => !known.has(name));
}
