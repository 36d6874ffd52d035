import type { SourceConnection } from '../connection.ts';
import { type Grants, parseGrants } from './grants.ts';
import { quoteName, quoteText } from '../identifiers.ts';

/**
 * The privileges of a session's account: its own, those through PUBLIC, and those through its roles, active or not. A privilege of a role
 * has the role as its grantee.
 */
export async function readGrants(connection: SourceConnection, flavor: 'mariadb' | 'mysql'): Promise<Grants> {
  const lines = await showGrants(connection);
  if (ownRoles(parseGrants(lines)).length === 0) return parseGrants(lines);
  return flavor === 'mariadb' ? await withMariadbRoles(connection, lines) : await withMysqlRoles(connection);
}

/**
 * The rights of the account on the columns of a database, as the server names them: 'select', 'insert', 'update', 'references'. They
 * include rights that no SHOW GRANTS prints, such as those of the anonymous user on `test` databases. Up to MySQL 5.6 and MariaDB 10.9
 * everybody has those (https://dev.mysql.com/doc/refman/5.6/en/default-privileges.html).
 */
export async function readEffectiveRights(connection: SourceConnection, database: string): Promise<string[]> {
  const rows = await connection.query(
    `select distinct privileges as held from information_schema.columns where table_schema = ${quoteText(database)}`,
  );
  const held = rows.flatMap((row) => (row['held'] ?? '').split(','));
  return [...new Set(held.filter((right) => right !== ''))].toSorted();
}

async function showGrants(connection: SourceConnection, of = ''): Promise<string[]> {
  const rows = await connection.query(`show grants${of}`);
  return rows.map((row) => Object.values(row)[0] ?? '');
}

function ownRoles({ account, roles }: Grants): string[] {
  return roles.filter(({ holder }) => holder === account).map(({ role }) => role);
}

/** MariaDB shows the privileges of a role, under the name of the role, while it is active. It allows one active role at a time. */
async function withMariadbRoles(connection: SourceConnection, own: readonly string[]): Promise<Grants> {
  const lines = new Set(own);
  const [active] = await connection.query('select current_role() as role');
  try {
    for (const role of ownRoles(parseGrants(own))) {
      await connection.query(`set role ${role}`);
      for (const line of await showGrants(connection)) lines.add(line);
    }
  } finally {
    const role = active?.['role'] ?? null;
    await connection.query(`set role ${role === null ? 'none' : quoteName(role)}`);
  }
  return parseGrants([...lines]);
}

/** MySQL shows the privileges of a role as if they were the account's own. */
async function withMysqlRoles(connection: SourceConnection): Promise<Grants> {
  // NONE, or the list of roles in a form that `set role` accepts.
  const [active] = await connection.query('select current_role() as role');
  await connection.query('set role none');
  try {
    const lines = await showGrants(connection);
    const own = parseGrants(lines);
    const grants = [...own.grants];
    let { unread } = own;
    for (const role of ownRoles(own)) {
      const shown = await showGrants(connection, ` for current_user() using ${role}`);
      const added = parseGrants(shown.filter((line) => !lines.includes(line)));
      grants.push(...added.grants.map((grant) => ({ ...grant, grantee: role })));
      unread += added.unread;
    }
    return { ...own, grants, unread };
  } finally {
    await connection.query(`set role ${active?.['role'] ?? 'none'}`);
  }
}
