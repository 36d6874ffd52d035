import type { Finding } from '../../errors/finding.ts';
import { type AccountContext, databaseScope, ownAccountRemedy } from './account-sql.ts';
import { type Grant, type Grants, reaches } from './grants.ts';

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
  /** What to do if the account has more rights than it needs. */
  readonly remedy: string;
}

/** The reader may SELECT from the replicated database and nothing else. `effective` is the result of readEffectiveRights. */
export function checkReaderGrants(grants: Grants, context: AccountContext, effective: readonly string[]): Finding[] {
  const { account } = grants;
  const { database } = context.source;
  const grant = `grant select on ${databaseScope(database)} to ${account};`;
  const role: Role = {
    subject: readerGrantsSubject,
    judge: (privilege, held) => {
      if (readerNeeds.has(privilege) && held.database !== null && reaches(held, database)) return null;
      return onlyReads.has(privilege) ? 'warning' : 'error';
    },
    remedy: ownAccountRemedy('reader', account, context),
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
  return withExcess(findings, tooMuch(role, grants, database, rights));
}

/** The replicator may read the binlog and its positions and nothing else. In particular, it needs no SELECT. */
export function checkReplicatorGrants(
  grants: Grants,
  context: AccountContext,
  effective: readonly string[],
): Finding[] {
  const { account } = grants;
  const { database } = context.source;
  const role: Role = {
    subject: 'replicator grants',
    judge: (privilege, held) => {
      if (replicatorNeeds.has(privilege)) return null;
      // A right to read that everybody has is no finding about this account, unless it covers the replicated database.
      const harmless = held.grantee === 'PUBLIC' && onlyReads.has(privilege);
      return harmless && !(privilege === 'SELECT' && reaches(held, database)) ? 'warning' : 'error';
    },
    remedy: ownAccountRemedy('replicator', account, context),
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
      message: `${account} may not see binlog positions (${context.server.flavor === 'mariadb' ? 'BINLOG MONITOR' : 'REPLICATION CLIENT'})`,
      remedy: `grant replication client on *.* to ${account};`,
    });
  return withExcess(findings, tooMuch(role, grants, database, effective));
}

/** An account that is to be replaced is not given the rights that it lacks. */
function withExcess(missing: readonly Finding[], excess: readonly Finding[]): Finding[] {
  const remedy = excess.find((finding) => finding.level === 'error')?.remedy;
  return [...missing.map((finding) => (remedy === undefined ? finding : { ...finding, remedy })), ...excess];
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
  const excess = (level: 'error' | 'warning', message: string, remedy = role.remedy): Finding => ({
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
        isEverybodys(grants, grantee) ? everybodys : role.remedy,
      ),
    );
  }
  for (const { role: given, admin } of grants.roles)
    if (admin) findings.push(excess('error', `may give role ${given} to others (ADMIN OPTION)`));
  if (grants.unread > 0) findings.push(excess('error', `holds ${grants.unread} grants of a form that is not known`));
  if (rights.length > 0 && findings.every(({ level }) => level !== 'error'))
    findings.push(
      excess(
        'error',
        `may ${rights.join(', ').toUpperCase()} in ${database}, by a grant that is not its own`,
        `${everybodys}: the rows of mysql.db whose User is empty`,
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

/** A new account would have these rights, too. */
const everybodys =
  'every account has this right, and others may use it: ask the administrator of the source whether everybody must have it';

/** Whether a grant is held by everybody, by itself or through roles. */
function isEverybodys({ roles }: Grants, grantee: string): boolean {
  const chain = [grantee];
  for (const held of chain) {
    if (held === 'PUBLIC') return true;
    for (const { role, holder } of roles) if (role === held && !chain.includes(holder)) chain.push(holder);
  }
  return false;
}
