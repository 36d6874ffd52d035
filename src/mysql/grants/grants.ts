/** One GRANT line: privileges on one scope. */
export interface Grant {
  /** Upper case: 'SELECT', 'REPLICATION SLAVE', 'GRANT OPTION' … For some columns only: 'SELECT (a, b)'. */
  readonly privileges: readonly string[];
  /** As the server printed it, for a REVOKE: '*.*', '`clinic`.*', 'PROCEDURE `clinic`.`p`'. */
  readonly scope: string;
  /** Pattern of database names; null: all databases. */
  readonly database: string | null;
  /** The holder, as the server printed it: the account, a role, or PUBLIC. */
  readonly grantee: string;
}

/** A grant of a role to a holder. */
export interface RoleGrant {
  /** As the server quotes it. */
  readonly role: string;
  /** The account, another role, or PUBLIC. */
  readonly holder: string;
  /** Whether the holder may grant it to others. */
  readonly admin: boolean;
}

export interface Grants {
  /** The account, as the server quotes it. */
  readonly account: string;
  readonly grants: readonly Grant[];
  /** Privileges of the roles are in `grants` only if the lines contain them. */
  readonly roles: readonly RoleGrant[];
  /** Lines that grant something and have no known form. */
  readonly unread: number;
}

const quoted = '`(?:[^`]|``)*`|\'(?:[^\']|\'\')*\'|"(?:[^"]|"")*"';
const name = String.raw`(?:${quoted}|[^\s,@]+)`;
const grantee = `${name}(?:@${name})?`;
/** Names in a column list are quoted, except by MySQL 5.6. */
const columnList = String.raw`\((?:${quoted}|[^\`)])*\)`;
const privilegeLine = new RegExp(
  `^GRANT ((?:[^(\`]|${columnList})+?) ON ((?:${quoted}|[^\`'"])+?) TO (${grantee})(.*)$`,
  's',
);
const roleLine = new RegExp(`^GRANT (${grantee}(?:, ?${grantee})*) TO (${grantee})(.*)$`, 's');

/** Reads the output of SHOW GRANTS on MySQL 5.6 to 9.7 and MariaDB 10.5 to 11.8. Passwords in it are dropped. */
export function parseGrants(lines: readonly string[]): Grants {
  const grants: Grant[] = [];
  const roles: RoleGrant[] = [];
  let account = '';
  let unread = 0;
  // The account's own lines come first. A MySQL role has a host part, too.
  const seen = (holder: string) => {
    if (account === '' && holder.includes('@')) account = holder;
  };
  for (const line of lines) {
    const privileges = privilegeLine.exec(line);
    const granted = privileges === null ? roleLine.exec(line) : null;
    if (privileges !== null) {
      const [, names = '', scope = '', holder = '', rest = ''] = privileges;
      seen(holder);
      const grantOption = / WITH .*GRANT OPTION/.test(rest) ? ['GRANT OPTION'] : [];
      grants.push({
        privileges: [...splitPrivileges(names), ...grantOption],
        scope,
        // The scope of a PROXY grant is an account, and it applies to all databases.
        database: names === 'PROXY' ? null : databasePattern(scope),
        grantee: sameName(holder, account) ? account : holder,
      });
    } else if (granted !== null) {
      const [, names = '', holder = '', rest = ''] = granted;
      seen(holder);
      const admin = rest.includes(' WITH ADMIN OPTION');
      for (const role of names.match(new RegExp(grantee, 'gs')) ?? []) roles.push({ role, holder, admin });
    } else if (line.startsWith('GRANT ')) unread++;
  }
  return { account, grants, roles, unread };
}

/** MariaDB 10.5 quotes the account of a PROXY grant differently from all other grants. */
function sameName(a: string, b: string): boolean {
  const bare = (text: string) => text.replaceAll(/['"`]/g, '');
  return bare(a) === bare(b);
}

/** Splits at the commas outside the column lists. */
function splitPrivileges(names: string): string[] {
  const each = new RegExp(String.raw`[^\s,(][^,(]*(?:${columnList})?`, 'gs');
  return (names.match(each) ?? []).map((privilege) => {
    const [title = '', ...columns] = privilege.split('(');
    return title.trim().toUpperCase() + (columns.length === 0 ? '' : ` (${columns.join('(')}`);
  });
}

function databasePattern(scope: string): string | null {
  const object = scope.replace(/^(TABLE|FUNCTION|PROCEDURE|PACKAGE BODY|PACKAGE) /, '');
  const name = /^`((?:[^`]|``)*)`\./.exec(object)?.[1] ?? /^"((?:[^"]|"")*)"\./.exec(object)?.[1];
  if (name !== undefined) return name.replaceAll('``', '`').replaceAll('""', '"');
  const bare = object.split('.')[0] ?? '';
  return bare === '*' ? null : bare;
}

/** Whether a grant reaches a database. In its pattern `%` and `_` are wildcards unless a backslash precedes them. */
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
