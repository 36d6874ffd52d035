import type { Finding } from '../../change/finding.ts';
import { type Grant, type Grants, reaches } from './grants.ts';
import { quoteName } from '../identifiers.ts';

/** MariaDB renamed REPLICATION CLIENT in 10.5.2 and split SLAVE MONITOR off. */
const positions = ['REPLICATION CLIENT', 'BINLOG MONITOR', 'SLAVE MONITOR', 'REPLICA MONITOR'];
const binlog = ['REPLICATION SLAVE', 'REPLICATION REPLICA'];
const readerNeeds: ReadonlySet<string> = new Set(['SELECT', 'SHOW VIEW']);
const replicatorNeeds: ReadonlySet<string> = new Set([...binlog, ...positions]);
/**
 * What shows rows, definitions or positions and does nothing else. Not among it: PROCESS, which shows everybody's statements
 * with the values in them, and REPLICATION SLAVE, whose dump ends another replica's that has announced the same server id.
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

/** Of a finding that an account may do more than it should. */
export const privilegedSource = 'privileged-source';
export const readerGrantsSubject = 'reader grants';

interface Role {
  readonly subject: string;
  /** 'error', 'warning' where it only reads, or null where it is to have this privilege by this grant. */
  readonly judge: (privilege: string, grant: Grant) => 'error' | 'warning' | null;
  /** What it should have, for when what it holds takes that away in being revoked. */
  readonly grant: string;
}

/** The reader may SELECT from the replicated database and nothing else. `effective` is what readEffectiveRights says. */
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
      message: `${account} sees only some tables of ${database}, those that it was granted one by one; whatever else is there is not copied, and nothing tells of it`,
      remedy: grant,
    });
  for (const held of grants.grants)
    if (!readsAll && reaches(held, database) && held.privileges.some((privilege) => privilege.startsWith('SELECT (')))
      findings.push({
        level: 'error',
        subject: role.subject,
        message: `${account} may read some columns of ${held.scope} only, while the binlog brings whole rows`,
        remedy: `grant select on ${held.scope} to ${held.grantee};`,
      });
  const rights = effective.filter((right) => right.toUpperCase() !== 'SELECT');
  return [...findings, ...tooMuch(role, grants, database, rights)];
}

/** The replicator may read the binlog and its positions and nothing else; above all it needs no SELECT. */
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
      // What everybody may look at is no finding about this account, but for what is replicated.
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

/** Of a source that is a replica itself: whether the replicator may see how far it is behind. MySQL shows it to REPLICATION CLIENT. */
export function checkSeesReplicaLag({ account, grants }: Grants, flavor: 'mariadb' | 'mysql'): Finding[] {
  const sees = (held: Grant) => has(held, 'SLAVE MONITOR') || has(held, 'REPLICA MONITOR');
  if (flavor === 'mysql' || grants.some((held) => held.database === null && sees(held))) return [];
  return [
    {
      level: 'warning',
      subject: 'replicator grants',
      message: `the source is a replica itself, and ${account} may not see how far it is behind (SLAVE MONITOR), so that nothing waits for it to catch up`,
      remedy: `grant slave monitor on *.* to ${account};`,
    },
  ];
}

/** In a grant, the wildcards of a database name are taken for themselves behind a backslash. */
export function databaseScope(database: string): string {
  return `${quoteName(database.replaceAll(/[_%]/g, String.raw`\$&`))}.*`;
}

function has(grant: Grant, privilege: string): boolean {
  return grant.privileges.includes(privilege) || grant.privileges.some(isAll);
}

/** All tables of it, not some. */
function coversDatabase(grant: Grant, database: string): boolean {
  return reaches(grant, database) && grant.scope.endsWith('.*');
}

function withoutColumns(privilege: string): string {
  return privilege.split(' (', 1)[0] ?? privilege;
}

function isAll(privilege: string): boolean {
  return privilege === 'ALL' || privilege === 'ALL PRIVILEGES';
}

/** All that an account holds beyond its needs. */
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
        `take away what everybody may: delete from mysql.db where User = ''; flush privileges;`,
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
  // What everybody may read is no finding about this account.
  if (judged.length === 0 || (isPublic && !changes)) return null;
  const isPlayground = isPublic && playgrounds.test(grant.database ?? '') && !reaches(grant, database);
  return {
    level: changes && !isPlayground ? 'error' : 'warning',
    privileges: judged.map(({ privilege }) => privilege),
  };
}

/** `grant` comes after what takes more than the excess. */
function revoke(excess: readonly string[], scope: string, grantee: string, grant: string): string {
  const from = (privileges: string) => `revoke ${privileges} on ${scope} from ${grantee};`;
  const takesNeeded = excess.some((privilege) => isAll(privilege) || privilege === 'SELECT');
  // Columns are granted, and taken away, by their upper and lower case.
  const names = excess.map((privilege) => privilege.replace(/^[^(]+/, (title) => title.toLowerCase()));
  // ALL stands alone in a REVOKE.
  const statements = excess.some(isAll) ? names.map(from) : [from(names.join(', '))];
  return [...statements, ...(takesNeeded && grantee !== 'PUBLIC' ? [grant] : [])].join(' ');
}

/** A role may have come by way of others: what ends it is to take away the one that the account, or everybody, was given. */
function revokeRole({ account, roles }: Grants, role: string): string {
  const ways = [role];
  for (const given of ways) {
    for (const { role: name, holder } of roles) {
      if (name !== given) continue;
      if (holder === account || holder === 'PUBLIC') return `revoke ${given} from ${holder};`;
      if (!ways.includes(holder)) ways.push(holder);
    }
  }
  return `revoke ${role} from ${account};`;
}
