import type { SourceConnection } from './connection.ts';
import { type Grant, type Grants, parseGrants } from './grants.ts';

/**
 * What the account of a session holds, by itself and through its roles, active or not. Each grant of a role has the role as its
 * grantee.
 */
export async function readGrants(connection: SourceConnection, flavor: 'mariadb' | 'mysql'): Promise<Grants> {
  const own = parseGrants(await showGrants(connection));
  if (own.roles.length === 0) return own;
  return flavor === 'mariadb' ? await withMariadbRoles(connection, own) : await withMysqlRoles(connection);
}

async function showGrants(connection: SourceConnection, of = ''): Promise<string[]> {
  const rows = await connection.query(`show grants${of}`);
  return rows.map((row) => Object.values(row)[0] ?? '');
}

/** MariaDB shows a role's privileges, under the role's name, while it is active, and lets one be active at a time. */
async function withMariadbRoles(connection: SourceConnection, own: Grants): Promise<Grants> {
  const isOwn = ({ grantee }: Grant) => grantee === own.account || grantee === 'PUBLIC';
  const grants = own.grants.filter(isOwn);
  const [active] = await connection.query('select current_role() as role');
  try {
    for (const role of own.roles) {
      await connection.query(`set role ${role}`);
      const shown = parseGrants(await showGrants(connection));
      grants.push(...shown.grants.filter((grant) => !isOwn(grant)));
    }
  } finally {
    const role = active?.['role'] ?? null;
    await connection.query(`set role ${role === null ? 'none' : `\`${role.replaceAll('`', '``')}\``}`);
  }
  return { ...own, grants };
}

/** MySQL shows a role's privileges as if they were the account's own. */
async function withMysqlRoles(connection: SourceConnection): Promise<Grants> {
  await connection.query('set role none');
  try {
    const lines = await showGrants(connection);
    const own = parseGrants(lines);
    const grants = [...own.grants];
    for (const role of own.roles) {
      const shown = await showGrants(connection, ` for current_user() using ${role}`);
      const { grants: added } = parseGrants(shown.filter((line) => !lines.includes(line)));
      grants.push(...added.map((grant) => ({ ...grant, grantee: role })));
    }
    return { ...own, grants };
  } finally {
    await connection.query('set role default');
  }
}
