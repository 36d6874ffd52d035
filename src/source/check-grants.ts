import type { Finding } from '../change/finding.ts';
import { type Grant, type Grants, reaches } from './grants.ts';
import { quoteName } from './identifiers.ts';

const harmless = new Set(['USAGE', 'PROXY']);
const readerNeeds = new Set(['SELECT', 'SHOW VIEW']);
/** MariaDB renamed REPLICATION CLIENT in 10.5.2 and split SLAVE MONITOR off. */
const replicatorNeeds = new Set([
  'REPLICATION SLAVE',
  'REPLICATION REPLICA',
  'REPLICATION CLIENT',
  'BINLOG MONITOR',
  'SLAVE MONITOR',
  'REPLICA MONITOR',
]);

/** The reader may SELECT from the replicated database and nothing else. */
export function checkReaderGrants(grants: Grants, database: string): Finding[] {
  const subject = 'reader grants';
  const findings: Finding[] = [];
  const { account } = grants;
  const canRead = grants.grants.some((grant) => reaches(grant, database) && has(grant, 'SELECT'));
  if (!canRead)
    findings.push({
      level: 'error',
      subject,
      message: `${account} may not SELECT from ${database}`,
      remedy: `grant select on ${quoteName(database.replaceAll(/[_%]/g, String.raw`\$&`))}.* to ${account};`,
    });
  for (const grant of grants.grants)
    findings.push(...tooMuch(subject, account, grant, readerNeeds, reaches(grant, database)));
  return [...findings, ...unseenRoles(subject, grants)];
}

/** The replicator may read the binlog and its positions and nothing else; above all it needs no SELECT. */
export function checkReplicatorGrants(grants: Grants, flavor: 'mariadb' | 'mysql'): Finding[] {
  const subject = 'replicator grants';
  const findings: Finding[] = [];
  const { account } = grants;
  const holds = (...names: string[]) =>
    grants.grants.some((grant) => grant.database === null && names.some((name) => has(grant, name)));
  if (!holds('REPLICATION SLAVE', 'REPLICATION REPLICA'))
    findings.push({
      level: 'error',
      subject,
      message: `${account} may not read the binlog (REPLICATION SLAVE)`,
      remedy: `grant replication slave on *.* to ${account};`,
    });
  if (!holds('REPLICATION CLIENT', 'BINLOG MONITOR'))
    findings.push({
      level: 'error',
      subject,
      message: `${account} may not see binlog positions (${flavor === 'mariadb' ? 'BINLOG MONITOR' : 'REPLICATION CLIENT'})`,
      remedy: `grant replication client on *.* to ${account};`,
    });
  for (const grant of grants.grants) findings.push(...tooMuch(subject, account, grant, replicatorNeeds, true));
  return [...findings, ...unseenRoles(subject, grants)];
}

function has(grant: Grant, privilege: string): boolean {
  return (
    grant.privileges.includes(privilege) ||
    grant.privileges.includes('ALL') ||
    grant.privileges.includes('ALL PRIVILEGES')
  );
}

/** What an account holds beyond its needs: an error where it reaches what is replicated, else a warning. */
function tooMuch(
  subject: string,
  account: string,
  grant: Grant,
  needs: ReadonlySet<string>,
  reachesUs: boolean,
): Finding[] {
  const excess = grant.privileges.filter((name) => !harmless.has(name) && !needs.has(name));
  if (excess.length === 0) return [];
  // Reading more than needed harms nobody's data, only somebody's privacy.
  const onlyReads = excess.every((name) => name === 'SELECT' || name === 'SHOW VIEW' || name === 'SHOW DATABASES');
  const named =
    excess.length > 6 ? `${excess.slice(0, 6).join(', ')} and ${excess.length - 6} more` : excess.join(', ');
  return [
    {
      level: reachesUs && !onlyReads ? 'error' : 'warning',
      subject,
      message: `${account} holds ${named} on ${grant.scope}, which it does not need`,
      remedy: `revoke ${excess.join(', ').toLowerCase()} on ${grant.scope} from ${account};`,
    },
  ];
}

function unseenRoles(subject: string, { account, roles }: Grants): Finding[] {
  return roles.map((role) => ({
    level: 'warning' as const,
    subject,
    message: `${account} holds role ${role}, whose privileges are not looked at`,
    remedy: `revoke ${role} from ${account};`,
  }));
}
