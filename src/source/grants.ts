/** One GRANT line: these privileges on this scope. */
export interface Grant {
  /** Upper case: 'SELECT', 'REPLICATION SLAVE', 'GRANT OPTION' … Column lists are cut off. */
  readonly privileges: readonly string[];
  /** As the server wrote it, for a REVOKE: '*.*', '`clinic`.*'. */
  readonly scope: string;
  /** Pattern of database names; null: all of them. */
  readonly database: string | null;
}

export interface Grants {
  /** The account, as the server quotes it. */
  readonly account: string;
  readonly grants: readonly Grant[];
  /** Roles it was granted; their privileges are not in `grants`. */
  readonly roles: readonly string[];
}

const privilegeLine = /^GRANT (.+?) ON (?:TABLE |FUNCTION |PROCEDURE |PACKAGE |PACKAGE BODY )?(\S.*?) TO (.+)$/s;
const roleLine = /^GRANT (.+?) TO (.+?)(?: WITH ADMIN OPTION)?$/s;

/** Reads what SHOW GRANTS prints on MySQL 5.6 to 9.7 and MariaDB 10.5 to 11.8. Passwords in it are dropped. */
export function parseGrants(lines: readonly string[]): Grants {
  const grants: Grant[] = [];
  const roles: string[] = [];
  let account = '';
  for (const line of lines) {
    const privileges = privilegeLine.exec(line);
    if (privileges !== null) {
      const [, names = '', scope = '', rest = ''] = privileges;
      const grantee = /^(`[^`]*`@`[^`]*`|'[^']*'@'[^']*'|\S+)/.exec(rest)?.[1] ?? '';
      if (grantee.includes('@')) account = grantee;
      const withGrant = / WITH .*GRANT OPTION/.test(rest) ? ['GRANT OPTION'] : [];
      grants.push({ privileges: [...splitPrivileges(names), ...withGrant], scope, database: databasePattern(scope) });
      continue;
    }
    const role = roleLine.exec(line)?.[1];
    if (role !== undefined && !line.startsWith('SET ')) roles.push(role);
  }
  return { account, grants, roles };
}

/** `SELECT (a, b), INSERT` without its column lists. */
function splitPrivileges(names: string): string[] {
  return names
    .replaceAll(/\([^)]*\)/g, '')
    .split(',')
    .map((name) => name.trim().toUpperCase())
    .filter((name) => name !== '');
}

function databasePattern(scope: string): string | null {
  const quoted = /^[`'"]((?:[^`'"])*)[`'"]\./.exec(scope)?.[1];
  if (quoted !== undefined) return quoted;
  const bare = scope.slice(0, scope.indexOf('.'));
  return bare === '*' ? null : bare;
}

/** Whether a grant reaches a database: in its pattern `%` and `_` are wildcards unless a backslash stands before them. */
export function reaches(grant: Grant, database: string): boolean {
  if (grant.database === null) return true;
  let pattern = '';
  for (let at = 0; at < grant.database.length; at++) {
    const char = grant.database[at] as string;
    if (char === '\\') pattern += escape(grant.database[++at] ?? '');
    else if (char === '%') pattern += '.*';
    else if (char === '_') pattern += '.';
    else pattern += escape(char);
  }
  return new RegExp(`^${pattern}$`, 'is').test(database);
}

function escape(char: string): string {
  return char.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}
