import type { Finding } from '../change/finding.ts';
import { type Grant, type Grants, reaches } from './grants.ts';
import { quoteName } from './identifiers.ts';

/** MariaDB renamed REPLICATION CLIENT in 10.5.2 and split SLAVE MONITOR off. */
const replicationReads = [
  'REPLICATION SLAVE',
  'REPLICATION REPLICA',
  'REPLICATION CLIENT',
  'BINLOG MONITOR',
  'SLAVE MONITOR',
  'REPLICA MONITOR',
];
const harmless: ReadonlySet<string> = new Set(['USAGE', 'PROXY']);
const readerNeeds: ReadonlySet<string> = new Set(['SELECT', 'SHOW VIEW']);
const replicatorNeeds: ReadonlySet<string> = new Set(replicationReads);
/** Too much, but it can change nothing at the source. */
const onlyReads: ReadonlySet<string> = new Set([
  ...replicationReads,
  'SELECT',
  'SHOW VIEW',
  'SHOW DATABASES',
  'SHOW CREATE ROUTINE',
  'SHOW_ROUTINE',
  'PROCESS',
]);

export const readerGrantsSubject = 'reader grants';

interface Role {
  readonly subject: string;
  /** Whether it is to have this privilege by this grant. */
  readonly needs: (privilege: string, grant: Grant) => boolean;
  /** What it should have, for when what it holds takes that away in being revoked. */
  readonly grant: string;
}

/** The reader may SELECT from the replicated database and nothing else. */
export function checkReaderGrants(grants: Grants, database: string): Finding[] {
  const { account } = grants;
  const grant = `grant select on ${databaseScope(database)} to ${account};`;
  const role: Role = {
    subject: readerGrantsSubject,
    needs: (privilege, held) => readerNeeds.has(privilege) && held.database !== null && reaches(held, database),
    grant,
  };
  const findings: Finding[] = [];
  if (!grants.grants.some((held) => reaches(held, database) && has(held, 'SELECT')))
    findings.push({
      level: 'error',
      subject: role.subject,
      message: `${account} may not SELECT from ${database}, if there is such a database`,
      remedy: grant,
    });
  for (const held of grants.grants)
    if (reaches(held, database) && held.privileges.some((privilege) => privilege.startsWith('SELECT (')))
      findings.push({
        level: 'error',
        subject: role.subject,
        message: `${account} may read some columns of ${held.scope} only, while the binlog brings whole rows`,
        remedy: `grant select on ${held.scope} to ${held.grantee};`,
      });
  return [...findings, ...grants.grants.flatMap((held) => tooMuch(role, held, account, database))];
}

/** The replicator may read the binlog and its positions and nothing else; above all it needs no SELECT. */
export function checkReplicatorGrants(grants: Grants, flavor: 'mariadb' | 'mysql', database: string): Finding[] {
  const { account } = grants;
  const role: Role = {
    subject: 'replicator grants',
    needs: (privilege) => replicatorNeeds.has(privilege),
    grant: `grant replication slave, replication client on *.* to ${account};`,
  };
  const findings: Finding[] = [];
  const holds = (...names: string[]) =>
    grants.grants.some((held) => held.database === null && names.some((privilege) => has(held, privilege)));
  if (!holds('REPLICATION SLAVE', 'REPLICATION REPLICA'))
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
  return [...findings, ...grants.grants.flatMap((held) => tooMuch(role, held, account, database))];
}

/** In a grant, the wildcards of a database name are taken for themselves behind a backslash. */
function databaseScope(database: string): string {
  return `${quoteName(database.replaceAll(/[_%]/g, String.raw`\$&`))}.*`;
}

function has(grant: Grant, privilege: string): boolean {
  return grant.privileges.includes(privilege) || grant.privileges.some(isAll);
}

function withoutColumns(privilege: string): string {
  return privilege.split(' (', 1)[0] ?? privilege;
}

function isAll(privilege: string): boolean {
  return privilege === 'ALL' || privilege === 'ALL PRIVILEGES';
}

/** What an account holds beyond its needs: an error where it could change what is replicated, else a warning. */
function tooMuch(role: Role, grant: Grant, account: string, database: string): Finding[] {
  const excess = grant.privileges.filter(
    (privilege) => !harmless.has(privilege) && !role.needs(withoutColumns(privilege), grant),
  );
  const writes = excess.some((privilege) => !onlyReads.has(withoutColumns(privilege)));
  const { scope, grantee } = grant;
  // What everybody may read is no finding about this account.
  if (excess.length === 0 || (grantee === 'PUBLIC' && !writes)) return [];
  const through = grantee === account ? '' : ` through ${grantee === 'PUBLIC' ? 'PUBLIC' : `role ${grantee}`}`;
  const named =
    excess.length > 6 ? `${excess.slice(0, 6).join(', ')} and ${excess.length - 6} more` : excess.join(', ');
  return [
    {
      level: writes && reaches(grant, database) ? 'error' : 'warning',
      subject: role.subject,
      message: `${account} holds ${named} on ${scope}${through}, which it does not need`,
      remedy:
        grantee === account || grantee === 'PUBLIC'
          ? revoke(excess, scope, grantee, role.grant)
          : `revoke ${grantee} from ${account};`,
    },
  ];
}

/** `grant` comes after what takes more than the excess. */
function revoke(excess: readonly string[], scope: string, grantee: string, grant: string): string {
  const from = (privileges: string) => `revoke ${privileges} on ${scope} from ${grantee};`;
  const takesNeeded = excess.some((privilege) => isAll(privilege) || privilege === 'SELECT');
  // ALL stands alone in a REVOKE.
  const statements = excess.some(isAll)
    ? excess.map((name) => from(name.toLowerCase()))
    : [from(excess.join(', ').toLowerCase())];
  return [...statements, ...(takesNeeded && grantee !== 'PUBLIC' ? [grant] : [])].join(' ');
}
