import type { Finding } from '../../errors/finding.ts';
import { type Grant, type Grants, reaches } from './grants.ts';
import { quoteName } from '../identifiers.ts';

/** MariaDB renamed REPLICATION CLIENT in 10.5.2 and split SLAVE MONITOR off. */
const positions = ['REPLICATION CLIENT', 'BINLOG MONITOR', 'SLAVE MONITOR', 'REPLICA MONITOR'];
const binlog = ['REPLICATION SLAVE', 'REPLICATION REPLICA'];
const readerNeeds: ReadonlySet<string> = new Set(['SELECT', 'SHOW VIEW']);
const replicatorNeeds: ReadonlySet<string> = new Set([...binlog, ...positions]);
/**
 * Privileges that only show rows, definitions or positions. PROCESS is not among them: it shows the statements of all users with the values
 * in them. REPLICATION SLAVE is not among them either: its dump ends the dump of another replica with the same server id.
 */
const onlyReads: ReadonlySet<string> = new Set([
  ...positions,
  'SELECT',
  'SHOW VIEW',
  'SHOW DATABASES',
  'SHOW CREATE ROUTINE',
  'SHOW_ROUTINE',
]);
/** The databases that installations open to everybody. */
const playgrounds = /^test(\\?_.*)?$/i;

/** The kind of a finding that an account may do more than it should. */
export const privilegedSource = 'privileged-source';
export const readerGrantsSubject = 'reader grants';

interface Role {
  readonly subject: string;
  /** Judges a privilege. 'error', 'warning' if it only reads, null if the account is meant to have it by this grant. */
  readonly judge: (privilege: string, grant: Grant) => 'error' | 'warning' | null;
  /** The grant that the account needs. A remedy restores it where its revoke removes it. */
  readonly grant: string;
}

/** The reader may SELECT from the replicated database and nothing else. `effective` is the result of readEffectiveRights. */
export function checkReaderGrants(grants: Grants, database: string, effective: readonly string[]): Finding[] {
  const { account } = grants;
  const grant = `grant select on ${databaseScope(database)} to ${account};`;
  const role: Role = {
    subject: readerGrantsSubject,
    judge: (privilege, held) => {
      if (readerNeeds.has(privilege) && held.database !== null && reaches(held, database)) return null;
      return onlyReads.has(privilege) ? 'warning' : 'error';
    },
    grant,
  };
  const findings: Finding[] = [];
  const readsAll = grants.grants.some((held) => coversDatabase(held, database) && has(held, 'SELECT'));
  if (!grants.grants.some((held) => reaches(held, database) && has(held, 'SELECT')))
    findings.push({
      level: 'error',
      subject: role.subject,
      message: `${account} may not SELECT from ${database}, if there is such a database`,
      remedy: grant,
    });
  else if (!readsAll)
    findings.push({
      level: 'warning',
      subject: role.subject,
      message: `${account} sees only some tables of ${database}, those that were granted one by one; other tables are not copied, and nothing reports them`,
      remedy: grant,
    });
  for (const held of grants.grants)
    if (!readsAll && reaches(held, database) && held.privileges.some((privilege) => privilege.startsWith('SELECT (')))
      findings.push({
        level: 'error',
        subject: role.subject,
        message: `${account} may read only some columns of ${held.scope}, while the binlog has complete rows`,
        remedy: `grant select on ${held.scope} to ${held.grantee};`,
      });
  const rights = effective.filter((right) => right.toUpperCase() !== 'SELECT');
  return [...findings, ...tooMuch(role, grants, database, rights)];
}

/** The replicator may read the binlog and its positions and nothing else. In particular, it needs no SELECT. */
export function checkReplicatorGrants(
  grants: Grants,
  flavor: 'mariadb' | 'mysql',
  database: string,
  effective: readonly string[],
): Finding[] {
  const { account } = grants;
  const role: Role = {
    subject: 'replicator grants',
    judge: (privilege, held) => {
      if (replicatorNeeds.has(privilege)) return null;
      // A right to read that everybody has is no finding about this account, unless it covers the replicated database.
      const harmless = held.grantee === 'PUBLIC' && onlyReads.has(privilege);
      return harmless && !(privilege === 'SELECT' && reaches(held, database)) ? 'warning' : 'error';
    },
    grant: `grant replication slave, replication client on *.* to ${account};`,
  };
  const findings: Finding[] = [];
  const holds = (...names: string[]) =>
    grants.grants.some((held) => held.database === null && names.some((privilege) => has(held, privilege)));
  if (!holds(...binlog))
    findings.push({
      level: 'error',
      subject: role.subject,
      message: `${account} may not read the binlog (REPLICATION SLAVE)`,
      remedy: `grant replication slave on *.* to ${account};`,
    });
  if (!holds('REPLICATION CLIENT', 'BINLOG MONITOR'))
    findings.push({
      level: 'error',
      subject: role.subject,
      message: `${account} may not see binlog positions (${flavor === 'mariadb' ? 'BINLOG MONITOR' : 'REPLICATION CLIENT'})`,
      remedy: `grant replication client on *.* to ${account};`,
    });
  return [...findings, ...tooMuch(role, grants, database, effective)];
}

/** Checks whether the replicator may see how far a source that is itself a replica is behind. On MySQL, REPLICATION CLIENT is enough. */
export function checkSeesReplicaLag({ account, grants }: Grants, flavor: 'mariadb' | 'mysql'): Finding[] {
  const sees = (held: Grant) => has(held, 'SLAVE MONITOR') || has(held, 'REPLICA MONITOR');
  if (flavor === 'mysql' || grants.some((held) => held.database === null && sees(held))) return [];
  return [
    {
      level: 'warning',
      subject: 'replicator grants',
      message: `the source is a replica itself, and ${account} may not see how far it is behind (SLAVE MONITOR), so Tidegate does not wait for it to catch up`,
      remedy: `grant slave monitor on *.* to ${account};`,
    },
  ];
}

/** In a grant, a backslash before a wildcard of a database name makes it an ordinary character. */
export function databaseScope(database: string): string {
  return `${quoteName(database.replaceAll(/[_%]/g, String.raw`\$&`))}.*`;
}

function has(grant: Grant, privilege: string): boolean {
  return grant.privileges.includes(privilege) || grant.privileges.some(isAll);
}

/** Whether it covers all tables of the database, not only some. */
function coversDatabase(grant: Grant, database: string): boolean {
  return reaches(grant, database) && grant.scope.endsWith('.*');
}

function withoutColumns(privilege: string): string {
  return privilege.split(' (', 1)[0] ?? privilege;
}

function isAll(privilege: string): boolean {
  return privilege === 'ALL' || privilege === 'ALL PRIVILEGES';
}

/** Findings for everything that an account holds beyond its needs. */
function tooMuch(role: Role, grants: Grants, database: string, rights: readonly string[]): Finding[] {
  const { account } = grants;
  const excess = (level: 'error' | 'warning', message: string, remedy: string): Finding => ({
    level,
    subject: role.subject,
    kind: privilegedSource,
    message: `${account} ${message}`,
    remedy,
  });
  const findings: Finding[] = [];
  for (const held of grants.grants) {
    const found = excessOf(role, held, database);
    if (found === null) continue;
    const { level, privileges } = found;
    const { scope, grantee } = held;
    const named =
      privileges.length > 6
        ? `${privileges.slice(0, 6).join(', ')} and ${privileges.length - 6} more`
        : privileges.join(', ');
    const through = grantee === account ? '' : ` through ${grantee === 'PUBLIC' ? grantee : `role ${grantee}`}`;
    findings.push(
      excess(
        level,
        `holds ${named} on ${scope}${through}, which it does not need`,
        grantee === account || grantee === 'PUBLIC'
          ? revoke(privileges, scope, grantee, role.grant)
          : revokeRole(grants, grantee),
      ),
    );
  }
  for (const { role: given, holder, admin } of grants.roles)
    if (admin)
      findings.push(
        excess('error', `may give role ${given} to others (ADMIN OPTION)`, `revoke ${given} from ${holder};`),
      );
  if (grants.unread > 0)
    findings.push(
      excess(
        'error',
        `holds ${grants.unread} grants of a form that is not known`,
        `show grants for ${account}; and revoke all but what it needs: ${role.grant}`,
      ),
    );
  if (rights.length > 0 && findings.every(({ level }) => level !== 'error'))
    findings.push(
      excess(
        'error',
        `may ${rights.join(', ').toUpperCase()} in ${database}, by a grant that is not its own`,
        `remove the rights that everybody has: delete from mysql.db where User = ''; flush privileges;`,
      ),
    );
  return findings;
}

function excessOf(
  role: Role,
  grant: Grant,
  database: string,
): { level: 'error' | 'warning'; privileges: string[] } | null {
  const judged = grant.privileges
    .filter((privilege) => privilege !== 'USAGE')
    .map((privilege) => ({ privilege, level: role.judge(withoutColumns(privilege), grant) }))
    .filter(({ level }) => level !== null);
  const changes = judged.some(({ level }) => level === 'error');
  const isPublic = grant.grantee === 'PUBLIC';
  // A right to read that everybody has is no finding about this account.
  if (judged.length === 0 || (isPublic && !changes)) return null;
  const isPlayground = isPublic && playgrounds.test(grant.database ?? '') && !reaches(grant, database);
  return {
    level: changes && !isPlayground ? 'error' : 'warning',
    privileges: judged.map(({ privilege }) => privilege),
  };
}

/** `grant` follows a revoke that removes more than the excess. */
function revoke(excess: readonly string[], scope: string, grantee: string, grant: string): string {
  const from = (privileges: string) => `revoke ${privileges} on ${scope} from ${grantee};`;
  const takesNeeded = excess.some((privilege) => isAll(privilege) || privilege === 'SELECT');
  // Servers compare column names in grants and revokes with case, so only the privilege is lower-cased.
  const names = excess.map((privilege) => privilege.replace(/^[^(]+/, (title) => title.toLowerCase()));
  // A REVOKE of ALL cannot name other privileges.
  const statements = excess.some(isAll) ? names.map(from) : [from(names.join(', '))];
  return [...statements, ...(takesNeeded && grantee !== 'PUBLIC' ? [grant] : [])].join(' ');
}

/** A role may be held through other roles. Then the remedy revokes the outer role, which was granted to the account or to everybody. */
function revokeRole({ account, roles }: Grants, role: string): string {
  const chain = [role];
  for (const given of chain) {
    for (const { role: name, holder } of roles) {
      if (name !== given) continue;
      if (holder === account || holder === 'PUBLIC') return `revoke ${given} from ${holder};`;
      if (!chain.includes(holder)) chain.push(holder);
    }
  }
  return `revoke ${role} from ${account};`;
}
