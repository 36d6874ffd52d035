/** One GRANT line: these privileges on this scope. */
export interface Grant {
  /** Upper case: 'SELECT', 'REPLICATION SLAVE', 'GRANT OPTION' … Some columns only: 'SELECT (a, b)'. */
  readonly privileges: readonly string[];
  /** As the server wrote it, for a REVOKE: '*.*', '`clinic`.*'. */
  readonly scope: string;
  /** Pattern of database names; null: all of them. */
  readonly database: string | null;
  /** Who holds it, as the server wrote it: the account, a role, or PUBLIC. */
  readonly grantee: string;
}

export interface Grants {
  /** The account, as the server quotes it. */
  readonly account: string;
  readonly grants: readonly Grant[];
  /** Roles it was granted, as the server quotes them. What they hold is in `grants` only if the lines said so. */
  readonly roles: readonly string[];
}

const name = String.raw`(?:\`(?:[^\`]|\`\`)*\`|'(?:[^']|'')*'|"(?:[^"]|"")*"|[^\s,@]+)`;
const grantee = `${name}(?:@${name})?`;
const privilegeLine = new RegExp(
  `^GRANT (.+?) ON (?:TABLE |FUNCTION |PROCEDURE |PACKAGE BODY |PACKAGE )?(\\S.*?) TO (${grantee})(.*)$`,
  's',
);
const roleLine = new RegExp(`^GRANT (${grantee}(?:, ?${grantee})*) TO (${grantee})`, 's');

/** Reads what SHOW GRANTS prints on MySQL 5.6 to 9.7 and MariaDB 10.5 to 11.8. Passwords in it are dropped. */
export function parseGrants(lines: readonly string[]): Grants {
  const grants: Grant[] = [];
  const roles: string[] = [];
  let account = '';
  for (const line of lines) {
    const privileges = privilegeLine.exec(line);
    if (privileges !== null) {
      const [, names = '', scope = '', holder = '', rest = ''] = privileges;
      // The account's own lines come first; a MySQL role has a host part, too.
      if (account === '' && holder.includes('@')) account = holder;
      const grantOption = / WITH .*GRANT OPTION/.test(rest) ? ['GRANT OPTION'] : [];
      grants.push({
        privileges: [...splitPrivileges(names), ...grantOption],
        scope,
        database: databasePattern(scope),
        grantee: holder,
      });
      continue;
    }
    const [, granted, holder = ''] = roleLine.exec(line) ?? [];
    if (granted === undefined) continue;
    if (account === '' && holder.includes('@')) account = holder;
    roles.push(...(granted.match(new RegExp(grantee, 'gs')) ?? []));
  }
  return { account, grants, roles };
}

/** At the commas outside the column lists. */
function splitPrivileges(names: string): string[] {
  return (names.match(/[^\s,(][^,(]*(?:\([^)]*\))?/g) ?? []).map((privilege) => {
    const [title = '', columns] = privilege.split('(', 2);
    return title.trim().toUpperCase() + (columns === undefined ? '' : ` (${columns}`);
  });
}

function databasePattern(scope: string): string | null {
  const quoted = /^`((?:[^`]|``)*)`\./.exec(scope)?.[1] ?? /^"((?:[^"]|"")*)"\./.exec(scope)?.[1];
  if (quoted !== undefined) return quoted.replaceAll('``', '`').replaceAll('""', '"');
  const bare = scope.split('.')[0] ?? '';
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
